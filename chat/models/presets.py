"""Presets: a system prompt, a model and its parameters under one name."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from chat.models.statuses import Effort

MAX_PROMPT: Final = 20_000  # characters
MAX_STARTERS: Final = 6
MAX_STARTER: Final = 200  # characters
MAX_TOOLS: Final = 200  # as a conversation's (chat.protocol.limits)
MAX_TOOL_NAME: Final = 200  # characters, as above
MAX_OWN_PRESETS: Final = 100  # of one user
PRESET_NAME_TAKEN: Final = _("You already have a preset with this name.")
SHARE: Final = "chat.share_preset"  # the permission to share own presets and prompts with groups


def check_starters(starters: Any) -> None:
    """Raises `ValidationError` unless these are up to `MAX_STARTERS` texts of up to `MAX_STARTER` characters."""
    if not isinstance(starters, list) or not all(isinstance(one, str) and one.strip() for one in starters):
        raise ValidationError(gettext("Starters must be non-empty texts."))
    if len(starters) > MAX_STARTERS:
        raise ValidationError(
            gettext("At most %(most)d starters are allowed. There are %(count)d.")
            % {"most": MAX_STARTERS, "count": len(starters)}
        )
    for number, one in enumerate(starters, 1):
        if len(one) > MAX_STARTER:
            raise ValidationError(
                gettext("A starter has at most %(most)d characters. Starter %(number)d has %(count)d.")
                % {"most": MAX_STARTER, "number": number, "count": len(one)}
            )


def check_tools(tools: Any) -> None:
    """Raises `ValidationError` unless these are keys of tools (`chat.catalog.tools.OfferedTool.key`), or None."""
    if tools is None:
        return
    if not isinstance(tools, list) or not all(isinstance(one, str) and 0 < len(one) <= MAX_TOOL_NAME for one in tools):
        raise ValidationError(gettext("Tools must be non-empty names."))
    if len(tools) > MAX_TOOLS:
        raise ValidationError(
            gettext("At most %(most)d tools are allowed. There are %(count)d.")
            % {"most": MAX_TOOLS, "count": len(tools)}
        )


class Preset(models.Model):
    """A system prompt, a model and its parameters, under a name that users can choose.

    Without an owner it is staff's, for everyone or for its groups. A user's own is for its owner, and for those of its
    groups that the owner is in.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.CASCADE,
        related_name="presets", db_index=False,  # the constraint of its names begins with it
        help_text=_("The user who made it. None: staff."),
    )  # fmt: skip
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200, blank=True, help_text=_("Shown to users with the name."))
    system_prompt = models.TextField(
        blank=True, validators=[MaxLengthValidator(MAX_PROMPT)],
        help_text=_("Sent to the model before the conversation. Empty: the SYSTEM_PROMPT setting."),
    )  # fmt: skip
    model = models.CharField(max_length=200, blank=True, help_text=_("Empty: the server default."))
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(2)],
        help_text=_("0 to 2. Empty: the model's default. Ignored by models that do not support it."),
    )  # fmt: skip
    max_tokens = models.PositiveIntegerField(
        _("max output tokens"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text=_("Per answer. Empty: the model's limit."),
    )  # fmt: skip
    # The defaults of these three are the database's, because the version before inserts rows without them.
    effort = models.CharField(
        max_length=6, blank=True, default="", db_default="", choices=Effort.choices,
        help_text=_("How much the model thinks. Empty: the model's default. Ignored by models that do not support it."),
    )  # fmt: skip
    starters = models.JSONField(
        blank=True, default=list, db_default=[], validators=[check_starters],
        help_text=_("Short prompts that are shown as buttons in an empty conversation with this preset."),
    )  # fmt: skip
    tools = models.JSONField(
        null=True, blank=True, validators=[check_tools],
        help_text=_("The tools that models may call. None: those that are on by default."),
    )  # fmt: skip
    collections: models.ManyToManyField[models.Model, Any] = models.ManyToManyField(
        "Collection", blank=True, related_name="presets",
        help_text=_("The collections of files that conversations with it begin with."),
    )  # fmt: skip
    disabled_by_staff = models.BooleanField(
        default=False, db_default=False, help_text=_("Nobody can choose it, and its owner cannot enable it.")
    )
    enabled = models.BooleanField(default=True, help_text=_("Users can choose this preset."))
    position = models.PositiveIntegerField(default=10, help_text=_("Presets are listed in ascending order."))
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text=_("Groups that can choose this preset. None: everyone.")
    )

    class Meta:
        ordering: ClassVar = ("position", "name")
        permissions: ClassVar = (("share_preset", gettext_noop("Can share own presets and prompts with groups")),)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(owner=None),
                name="preset_name_once",
                violation_error_message=_("A preset with this name already exists."),
            ),
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="preset_name_once_per_owner",
                violation_error_message=PRESET_NAME_TAKEN,
            ),
            models.CheckConstraint(condition=Q(effort__in=["", *Effort.values]), name="preset_effort_known"),
            models.CheckConstraint(
                condition=Q(temperature=None) | Q(temperature__range=(0, 2)), name="preset_temperature_sane"
            ),
            models.CheckConstraint(condition=Q(max_tokens=None) | Q(max_tokens__gte=1), name="preset_tokens_sane"),
        )

    def __str__(self) -> str:
        return self.name

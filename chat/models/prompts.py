"""Prompts: texts under a name, which users put into the message field by typing `/name`."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxLengthValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.presets import MAX_PROMPT

MAX_OWN_PROMPTS: Final = 500  # of one user
PROMPT_NAME_TAKEN: Final = _("You already have a prompt with this name.")
MAX_NAME: Final = 60
NAME_RULE: Final = r"\A[\w-]+\Z"
NAME_REFUSED: Final = _("Use only letters, digits, hyphens and underscores.")


class Prompt(models.Model):
    """A text with optional variables (`chat.catalog.variables`), under a name that is typed after a slash.

    Without an owner it is staff's, for everyone or for its groups. A user's own is for its owner, and for those of its
    groups that the owner is in.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.CASCADE,
        related_name="prompts", db_index=False,  # the constraint of its names begins with it
        help_text=_("The user who made it. None: staff."),
    )  # fmt: skip
    name = models.CharField(
        max_length=MAX_NAME, help_text=_("Typed after a slash: letters, digits, hyphens and underscores."),
        validators=[RegexValidator(NAME_RULE, NAME_REFUSED)],
    )  # fmt: skip
    title = models.CharField(max_length=120, blank=True, help_text=_("Shown with the name."))
    text = models.TextField(
        validators=[MaxLengthValidator(MAX_PROMPT)],
        help_text=_("{{variable}} or {{variable|default}} is asked for; {{date}} and {{time}} are filled in."),
    )
    disabled_by_staff = models.BooleanField(default=False, help_text=_("Nobody can use it."))
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text=_("Groups that can use this prompt. None: everyone.")
    )
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ("name",)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["name"], condition=Q(owner=None), name="prompt_name_once",
                violation_error_message=_("A prompt with this name already exists."),
            ),
            models.UniqueConstraint(
                fields=["owner", "name"], name="prompt_name_once_per_owner",
                violation_error_message=PROMPT_NAME_TAKEN,
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"/{self.name}"

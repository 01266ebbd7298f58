"""Judges of moderation that are set up in the admin. Only workers ask them (`workers.moderation`)."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from chat.models.moderation import Action, Category, Direction, Severity
from workers.models.endpoints import Endpoint, Use

MOST_SECONDS: Final = 30.0  # that a question may wait, and that the judgement of an answer may take
JUDGED_DIRECTIONS: Final = (Direction.ASKED, Direction.ANSWERED, Direction.FILES)
JUDGE_ACTIONS: Final = (
    Action.FLAG,
    Action.HOLD,
    Action.BLOCK,
)  # it says what a text is, not where, so it masks nothing
_SECONDS: Final = (MinValueValidator(0.1), MaxValueValidator(MOST_SECONDS))
_THRESHOLD: Final = (MinValueValidator(0.01), MaxValueValidator(1.0))


class JudgeKind(models.TextChoices):
    OPENAI = "openai", _("OpenAI's moderation API")
    GUARD = "guard", _("Safety model that answers safe or unsafe, such as Llama Guard")
    JSON = "json", _("Any chat model, asked for scores")


class JudgeMode(models.TextChoices):
    BEFORE = "before", _("Before – the model is asked only after the verdict")
    PARALLEL = "parallel", _("In parallel – the model is asked immediately; its first words wait for the verdict")


class AwayPolicy(models.TextChoices):
    OPEN = "open", _("Let through and judge later")
    CLOSED = "closed", _("Refuse")


class Judge(models.Model):
    """A model or a service that is asked whether a text keeps to the rules of this site."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=False, help_text=_("Takes effect within 5 seconds on all workers."))
    backend = models.CharField(_("kind"), max_length=8, choices=JudgeKind, default=JudgeKind.OPENAI)
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.PROTECT, related_name="+",
        help_text=_("Texts are sent to this endpoint. If it is only for judging, set its use to fallback."),
    )  # fmt: skip
    model = models.CharField(
        max_length=200,
        help_text=_("For example omni-moderation-latest, or the name under which Llama Guard is served."),
    )
    directions = ArrayField(
        models.CharField(max_length=8, choices=Direction), default=list, help_text=_("What it judges.")
    )
    mode = models.CharField(
        _("questions"), max_length=8, choices=JudgeMode, default=JudgeMode.BEFORE,
        help_text=_("Answers are always judged while they stream, sentence by sentence."),
    )  # fmt: skip
    timeout = models.FloatField(
        default=1.5, validators=_SECONDS, help_text=_("How many seconds a question waits for the verdict.")
    )
    behind_timeout = models.FloatField(
        _("timeout for answers"), default=10.0, validators=_SECONDS,
        help_text=_(
            "In seconds, for each part of an answer, for which the stream does not wait, and for each file, for which "
            "it does."
        ),
    )  # fmt: skip
    notice = models.CharField(
        max_length=300,
        blank=True,
        help_text=_("The message shown to the user. Empty: a general sentence about the action."),
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)

    class Meta:
        permissions = (("test_judge", gettext_noop("Can test a judge")),)
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(backend__in=JudgeKind.values), name="judge_kind_known"),
            models.CheckConstraint(condition=Q(mode__in=JudgeMode.values), name="judge_mode_known"),
            models.CheckConstraint(
                condition=Q(directions__len__gte=1, directions__contained_by=list(JUDGED_DIRECTIONS)),
                name="judge_somewhere",
            ),
            models.CheckConstraint(
                condition=Q(timeout__gte=0.1, timeout__lte=MOST_SECONDS)
                & Q(behind_timeout__gte=0.1, behind_timeout__lte=MOST_SECONDS),
                name="judge_timeouts_sane",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Every change is a new version. What a test said is written by `update`, which makes none."""
        if not self._state.adding:
            self.version += 1
            self.changed_at = timezone.now()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        unknown = [one for one in self.directions or () if one not in JUDGED_DIRECTIONS]
        if not self.directions or unknown:
            said = gettext(
                "A judge is asked about what people write, what models answer, or files: choose at least one."
            )
            raise ValidationError({"directions": said})
        if not hasattr(self, "endpoint"):
            return
        if self.endpoint.use == Use.OFF:
            raise ValidationError({"endpoint": gettext("That endpoint is off. Change its use first.")})
        if self.backend == JudgeKind.OPENAI and self.endpoint.api not in ("openai_chat", "openai_responses"):
            raise ValidationError(
                {"endpoint": gettext("OpenAI's moderation API is offered by OpenAI and by servers with its API only.")}
            )


class JudgedCategory(models.Model):
    """What happens to texts of one category. Categories without a row are ignored."""

    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="categories")
    category = models.CharField(max_length=16, choices=Category)
    threshold = models.FloatField(
        default=0.5, validators=_THRESHOLD, help_text=_("From 0.01 to 1. A chat model that only says unsafe gives 1.")
    )
    action = models.CharField(
        max_length=8, default=Action.FLAG, choices=[(one.value, one.label) for one in JUDGE_ACTIONS]
    )
    severity = models.PositiveSmallIntegerField(choices=Severity, default=Severity.MEDIUM)
    when_away = models.CharField(max_length=8, choices=AwayPolicy, default=AwayPolicy.OPEN)

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering: ClassVar = ("category",)
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["judge", "category"], name="judged_category_once"),
            models.CheckConstraint(
                condition=Q(action__in=JUDGE_ACTIONS)
                & Q(when_away__in=AwayPolicy.values)
                & Q(threshold__gte=0.01, threshold__lte=1.0),
                name="judged_category_sane",
            ),
        )

    def __str__(self) -> str:
        return f"{self.category} of {self.judge_id}"

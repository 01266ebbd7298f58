"""Moderation: rules, cases, and decisions about cases."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models import Plan

MOST_TEXT: Final = 100_000  # characters of a rule's words or patterns


class Direction(models.TextChoices):
    ASKED = "asked", "What people write"
    ANSWERED = "answered", "What models answer"
    SPOKEN = "spoken", "What people say"
    NAMED = "named", "Names and titles"
    FILES = "files", "Files that tools make"


class Action(models.TextChoices):
    FLAG = "flag", "Flag – shown as it is; a case opens"
    MASK = "mask", "Mask – the hit is replaced"
    HOLD = "hold", "Hold – it waits for a reviewer"
    BLOCK = "block", "Block – refused"


class Category(models.TextChoices):
    """OpenAI's categories, and what they do not cover."""

    HARASSMENT = "harassment", "Harassment"
    HATE = "hate", "Hate"
    ILLICIT = "illicit", "Illicit behaviour"
    SELF_HARM = "self-harm", "Self-harm"
    SEXUAL = "sexual", "Sexual content"
    MINORS = "sexual/minors", "Sexual content about minors"
    VIOLENCE = "violence", "Violence"
    PROFANITY = "profanity", "Profanity"
    PERSONAL = "personal", "Personal data and secrets"
    SPAM = "spam", "Spam"
    OTHER = "other", "Other"


class Severity(models.IntegerChoices):
    LOW = 1, "Low"
    MEDIUM = 2, "Medium"
    HIGH = 3, "High"
    CRITICAL = 4, "Critical"


class RuleQuerySet(models.QuerySet["ModerationRule"]):
    def update(self, **changes: Any) -> int:
        """Every change is a new version, also one of many rules at once."""
        return super().update(**{"version": F("version") + 1, "changed_at": timezone.now(), **changes})


class ModerationRule(models.Model):
    """What is searched for, where, for whom, and what happens to a text that has it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=False, help_text="In force within 5 seconds, on all servers.")
    action = models.CharField(max_length=8, choices=Action, default=Action.FLAG)
    category = models.CharField(max_length=16, choices=Category, default=Category.OTHER)
    severity = models.PositiveSmallIntegerField(
        choices=Severity, default=Severity.MEDIUM, help_text="Orders the review queue."
    )
    directions = ArrayField(
        models.CharField(max_length=8, choices=Direction), default=list, help_text="Where the rule is in force."
    )
    words = models.TextField(
        blank=True, validators=[MaxLengthValidator(MOST_TEXT)],
        help_text="One word or phrase a line, found as whole words, whatever their case and accents, with the endings "
        "of the rule's language.",
    )  # fmt: skip
    disguised = models.BooleanField(
        "find disguised words", default=False,
        help_text="Also find spaced, stretched and digit-spelled forms. At most 300 words; wrong now and then.",
    )  # fmt: skip
    patterns = models.TextField(
        blank=True, validators=[MaxLengthValidator(MOST_TEXT)],
        help_text="One regular expression a line (RE2 syntax), without regard to case.",
    )  # fmt: skip
    pii = ArrayField(models.CharField(max_length=16), default=list, blank=True, verbose_name="personal data")
    locale = models.CharField(
        "language", max_length=10, blank=True, default="en",
        help_text='Such as "en" or "de-CH": endings of words, telephone and national numbers. Empty: any.',
    )  # fmt: skip
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="Only for members of these groups. None: everyone."
    )
    plans: models.ManyToManyField[Plan, Any] = models.ManyToManyField(
        Plan, blank=True, related_name="+", help_text="Only for people on these plans. None: everyone."
    )
    only_models = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, help_text="Only with these models. None: all."
    )
    notice = models.CharField(
        max_length=300, blank=True, help_text="What the person reads. Empty: a general sentence about the action."
    )
    source = models.CharField(max_length=300, blank=True, help_text="Where the words come from, and their licence.")
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RuleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ("name",)
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(directions__len__gte=1), name="moderation_rule_somewhere"),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Every change is a new version."""
        if not self._state.adding:
            self.version += 1
            self.changed_at = timezone.now()
        super().save(*args, **kwargs)


class CaseStatus(models.TextChoices):
    """open -> claimed -> decided -> (appealed -> claimed -> decided)."""

    OPEN = "open", "Open"
    CLAIMED = "claimed", "Claimed"
    DECIDED = "decided", "Decided"
    APPEALED = "appealed", "Appealed"


class CaseTarget(models.TextChoices):
    MESSAGE = "message", "Message"
    REFUSED = "refused", "Refused message"  # was never stored; the id is its `client_id`
    TITLE = "title", "Title of a conversation"
    NAME = "name", "Name of a person"
    PRESET = "preset", "Preset"
    FILE = "file", "File"
    CALL = "call", "Arguments of a tool call"  # the id is the call's
    RESULT = "result", "Result of a tool call"  # likewise


class CaseOrigin(models.TextChoices):
    RULE = "rule", "Rule"
    JUDGE = "judge", "Judge"
    REPORT = "report", "Report by a person"


class ModerationCase(models.Model):
    """Something that a rule, a judge or a person raised: what it was, what happened to it at once, and its review.

    `original` and `original_reasoning` are the texts before anything was withheld. They are nowhere else: who may read
    them is decided by a permission, and each reading is in the audit log.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    target = models.CharField(max_length=8, choices=CaseTarget)
    target_id = models.UUIDField()
    conversation = models.ForeignKey(
        "chat.Conversation", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="Whose text it is, or whose question was answered.",
    )  # fmt: skip
    direction = models.CharField(max_length=8, choices=Direction)
    origin = models.CharField(max_length=6, choices=CaseOrigin)
    action = models.CharField(max_length=8, choices=Action, help_text="What happened at once.")
    category = models.CharField(max_length=16, choices=Category, default=Category.OTHER)
    severity = models.PositiveSmallIntegerField(choices=Severity, default=Severity.MEDIUM)
    status = models.CharField(max_length=8, choices=CaseStatus, default=CaseStatus.OPEN)
    rules = models.JSONField(default=list, help_text="Rules with their versions and the places that they found.")
    original = models.TextField(blank=True)
    original_reasoning = models.TextField(
        "original thinking", blank=True, default="", db_default="", help_text="What the model of an answer thought."
    )
    notice = models.CharField(max_length=300, blank=True, help_text="What the person was told.")
    appeal = models.TextField(blank=True, help_text="What the person says against the decision.")
    appealed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When the person last read what was decided.")

    class Meta:
        ordering: ClassVar = ("-opened_at",)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=("target", "target_id"), condition=~Q(status="decided"), name="moderation_case_one_open"
            ),
        )
        indexes: ClassVar = (
            models.Index(F("severity").desc(), "opened_at", condition=~Q(status="decided"), name="moderation_queue"),
            models.Index(fields=("person", "-opened_at"), name="moderation_case_person"),
            models.Index(fields=("-decided_at",), condition=Q(status="decided"), name="moderation_case_decided"),
            models.Index(fields=("opened_at",), name="moderation_case_opened"),
            models.Index(fields=("claimed_at",), condition=Q(status="claimed"), name="moderation_case_claimed"),
        )
        permissions: ClassVar = (("read_case", "Can read the texts of cases"), ("decide_case", "Can decide cases"))

    def __str__(self) -> str:
        return f"case {self.id}"


class DecisionKind(models.TextChoices):
    RELEASE = "release", "Release – it is shown as it was"
    MASK = "mask", "Mask – the hits stay replaced"
    DELETE = "delete", "Delete – the text is removed"
    WARN = "warn", "Warn the person"
    SUSPEND = "suspend", "Suspend the account for a time"
    BLOCK = "block", "Block the account"


class ModerationDecision(models.Model):
    """One decision about a case. Never changed or deleted while the case exists."""

    case = models.ForeignKey(ModerationCase, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=8, choices=DecisionKind)
    note = models.CharField(max_length=1000, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    until = models.DateTimeField(null=True, blank=True, help_text="The end of a suspension.")
    decided_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ("decided_at",)

    def __str__(self) -> str:
        return f"{self.kind} of {self.case_id}"


class ReportReason(models.TextChoices):
    """Why a person reports a message."""

    HARMFUL = "harmful", _("Harmful or dangerous")
    HARASSMENT = "harassment", _("Harassment or hate")
    SEXUAL = "sexual", _("Sexual content")
    PERSONAL = "personal", _("Personal data")
    SPAM = "spam", _("Spam")
    WRONG = "wrong", _("Wrong or misleading")
    OTHER = "other", _("Something else")


class ModerationReport(models.Model):
    """A message that a person reported. Everybody reports a message once at most; all reports of it are one case."""

    case = models.ForeignKey(ModerationCase, on_delete=models.CASCADE, related_name="reports")
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=10, choices=ReportReason)
    note = models.CharField(max_length=1000, blank=True)
    reported_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view",)
        constraints: ClassVar = (models.UniqueConstraint(fields=("case", "reporter"), name="moderation_report_once"),)

    def __str__(self) -> str:
        return f"report of {self.case_id}"

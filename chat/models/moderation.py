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
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models import Plan

MOST_TEXT: Final = 100_000  # characters of a rule's words or patterns


class Direction(models.TextChoices):
    ASKED = "asked", _("What people write")
    ANSWERED = "answered", _("What models answer")
    SPOKEN = "spoken", _("What people say")
    NAMED = "named", _("Names and titles")
    FILES = "files", _("Files that people attach and tools make")


class Action(models.TextChoices):
    FLAG = "flag", _("Flag – shown unchanged; a case is opened")
    MASK = "mask", _("Mask – matches are replaced")
    HOLD = "hold", _("Hold – withheld until a reviewer decides")
    BLOCK = "block", _("Block – refused")


class Category(models.TextChoices):
    """OpenAI's categories, and what they do not cover."""

    HARASSMENT = "harassment", _("Harassment")
    HATE = "hate", _("Hate")
    ILLICIT = "illicit", _("Illicit behaviour")
    SELF_HARM = "self-harm", _("Self-harm")
    SEXUAL = "sexual", _("Sexual content")
    MINORS = "sexual/minors", _("Sexual content about minors")
    VIOLENCE = "violence", _("Violence")
    PROFANITY = "profanity", _("Profanity")
    PERSONAL = "personal", _("Personal data and secrets")
    SPAM = "spam", _("Spam")
    OTHER = "other", _("Other")


class Severity(models.IntegerChoices):
    LOW = 1, _("Low")
    MEDIUM = 2, _("Medium")
    HIGH = 3, _("High")
    CRITICAL = 4, _("Critical")


class RuleQuerySet(models.QuerySet["ModerationRule"]):
    def update(self, **changes: Any) -> int:
        """Every change is a new version, also one of many rules at once."""
        return super().update(**{"version": F("version") + 1, "changed_at": timezone.now(), **changes})


class ModerationRule(models.Model):
    """What is searched for, where, for whom, and what happens to a text that has it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=False, help_text=_("Takes effect within 5 seconds on all servers."))
    action = models.CharField(max_length=8, choices=Action, default=Action.FLAG)
    category = models.CharField(max_length=16, choices=Category, default=Category.OTHER)
    severity = models.PositiveSmallIntegerField(
        choices=Severity, default=Severity.MEDIUM, help_text=_("Orders the review queue.")
    )
    directions = ArrayField(
        models.CharField(max_length=8, choices=Direction), default=list, help_text=_("Where the rule applies.")
    )
    words = models.TextField(
        blank=True, validators=[MaxLengthValidator(MOST_TEXT)],
        help_text=_("One word or phrase per line. Whole words are matched, ignoring case and accents, with the "
        "inflections of the rule's language."),
    )  # fmt: skip
    disguised = models.BooleanField(
        _("find disguised words"), default=False,
        help_text=_(
            "Also matches spaced, stretched and digit-spelled forms. At most 300 words; may cause false "
            "positives."
        ),
    )  # fmt: skip
    patterns = models.TextField(
        blank=True, validators=[MaxLengthValidator(MOST_TEXT)],
        help_text=_("One regular expression per line (RE2 syntax), case-insensitive."),
    )  # fmt: skip
    pii = ArrayField(models.CharField(max_length=16), default=list, blank=True, verbose_name=_("personal data"))
    locale = models.CharField(
        _("language"), max_length=10, blank=True, default="en",
        help_text=_(
            'For example "en" or "de-CH". Determines inflections and the formats of telephone and '
            'national ID numbers. Empty: any.'
        ),
    )  # fmt: skip
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text=_("Applies only to members of these groups. None: everyone.")
    )
    plans: models.ManyToManyField[Plan, Any] = models.ManyToManyField(
        Plan, blank=True, related_name="+", help_text=_("Applies only to users with these plans. None: everyone.")
    )
    only_models = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text=_("Applies only to these models. None: all models."),
    )
    notice = models.CharField(
        max_length=300,
        blank=True,
        help_text=_("The message shown to the user. Empty: a general sentence about the action."),
    )
    source = models.CharField(max_length=300, blank=True, help_text=_("Origin of the words, and their licence."))
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

    OPEN = "open", _("Open")
    CLAIMED = "claimed", _("Claimed")
    DECIDED = "decided", _("Decided")
    APPEALED = "appealed", _("Appealed")


class CaseTarget(models.TextChoices):
    MESSAGE = "message", _("Message")
    REFUSED = "refused", _("Refused message")  # was never stored; the id is its `client_id`
    TITLE = "title", _("Title of a conversation")
    NAME = "name", _("Name of a person")
    PRESET = "preset", _("Preset")
    FILE = "file", _("File")
    CALL = "call", _("Arguments of a tool call")  # the id is the call's
    RESULT = "result", _("Result of a tool call")  # likewise


class CaseOrigin(models.TextChoices):
    RULE = "rule", _("Rule")
    JUDGE = "judge", _("Judge")
    REPORT = "report", _("Report by a person")


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
        help_text=_("The author of the text, or of the question that was answered."),
    )  # fmt: skip
    direction = models.CharField(max_length=8, choices=Direction)
    origin = models.CharField(max_length=6, choices=CaseOrigin)
    action = models.CharField(max_length=8, choices=Action, help_text=_("The immediate action."))
    category = models.CharField(max_length=16, choices=Category, default=Category.OTHER)
    severity = models.PositiveSmallIntegerField(choices=Severity, default=Severity.MEDIUM)
    status = models.CharField(max_length=8, choices=CaseStatus, default=CaseStatus.OPEN)
    rules = models.JSONField(
        default=list, help_text=_("The rules that matched, with their versions and the positions of the matches.")
    )
    original = models.TextField(blank=True)
    original_reasoning = models.TextField(
        _("original thinking"),
        blank=True,
        default="",
        db_default="",
        help_text=_("The model's thinking for an answer."),
    )
    notice = models.CharField(max_length=300, blank=True, help_text=_("The message shown to the user."))
    appeal = models.TextField(blank=True, help_text=_("Why the user disagrees with the decision."))
    appealed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text=_("When the user last read the decision."))

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
        permissions: ClassVar = (
            ("read_case", gettext_noop("Can read the texts of cases")),
            ("decide_case", gettext_noop("Can decide cases")),
        )

    def __str__(self) -> str:
        return gettext("Case %(id)s") % {"id": self.id}


class DecisionKind(models.TextChoices):
    RELEASE = "release", _("Release – shown unchanged")
    MASK = "mask", _("Mask – matches stay replaced")
    DELETE = "delete", _("Delete – the text is removed")
    WARN = "warn", _("Warn the person")
    SUSPEND = "suspend", _("Suspend the account for a time")
    BLOCK = "block", _("Block the account")


class ModerationDecision(models.Model):
    """One decision about a case. Never changed or deleted while the case exists."""

    case = models.ForeignKey(ModerationCase, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=8, choices=DecisionKind)
    note = models.CharField(max_length=1000, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    until = models.DateTimeField(null=True, blank=True, help_text=_("The end of a suspension."))
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

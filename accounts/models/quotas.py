"""What people may use, what they used, and what it cost. Money is in one currency, exact to a billionth.

Plan ── Quota ── Allowance (one person or pot, one period: used, reserved, extra) ── Reservation (one run under way)
UsageEntry, append-only, is the truth; Allowance and DailyUsage add it up (`accounts.ledger.check_ledger`).
"""

from __future__ import annotations

import zoneinfo
from decimal import Decimal
from typing import Any, ClassVar, Final

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Case, F, Q, Subquery, When
from django.utils import timezone

from accounts.ids import uuid7

MOST: Final = 10**12  # of anything; more is a slip of the hand
LONGEST_DAYS: Final = 36_500  # a hundred years
NANO: Final = Decimal("1e-9")
_RANGE: Final = (MinValueValidator(0), MaxValueValidator(MOST))
_MORE_THAN_NONE: Final = (MinValueValidator(NANO), MaxValueValidator(MOST))


def _amount(name: str | None = None, **options: Any) -> models.DecimalField[Any, Any]:
    return models.DecimalField(name, max_digits=24, decimal_places=9, **options)


def _owner(**options: Any) -> models.ForeignKey[Any, Any]:
    """A user whose entries outlive them, hence without a constraint: no foreign key's rule may touch a row."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", **options
    )


class Unit(models.TextChoices):
    MESSAGES = "messages"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    MONEY = "money"
    AUDIO_SECONDS = "audio_seconds"


class Period(models.TextChoices):
    """Of the calendar, in the plan's time zone; a fixed one begins at `starts_at` and never renews by itself."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    FIXED = "fixed"


class Unwatched(models.TextChoices):
    """Of an answer that nobody has open; the values are those of the setting UNWATCHED_RUNS."""

    CONTINUE = "continue", "go on"
    STOP = "stop", "stop after the grace"


def _days(name: str, most: int, *, least: int = 0, **options: Any) -> models.PositiveIntegerField[Any, Any]:
    return models.PositiveIntegerField(name, validators=(MinValueValidator(least), MaxValueValidator(most)), **options)


class Plan(models.Model):
    """A user's limits, and how long what is theirs is kept. Who has no plan of their own has the default one."""

    name = models.CharField(max_length=80, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Such as Europe/Berlin: when a day begins.")
    is_default = models.BooleanField("default", default=False, help_text="For everybody who has no other.")
    unwatched_runs = models.CharField(
        "answers nobody has open", max_length=8, blank=True, choices=Unwatched.choices,
        help_text="Empty: as the setting UNWATCHED_RUNS says.",
    )  # fmt: skip
    retention_days = _days(
        "days a conversation is kept", LONGEST_DAYS, least=1, null=True, blank=True,
        help_text="One that nobody touched for so long goes. Empty: it stays.",
    )  # fmt: skip
    trash_days = _days(
        "days in the trash", LONGEST_DAYS, null=True, blank=True,
        help_text="So long a deleted conversation can be brought back. Empty: as the setting KEEP_DELETED_DAYS says.",
    )  # fmt: skip
    temporary_hours = _days(
        "hours a temporary conversation is kept", 24 * LONGEST_DAYS, least=1, null=True, blank=True,
        help_text="Empty: as the deployment's setting says.",
    )  # fmt: skip
    audio_days = _days(
        "days speech is kept", LONGEST_DAYS, default=0, help_text="0: what is said is not kept as audio."
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="plan_one_default"),
            models.CheckConstraint(
                condition=Q(unwatched_runs__in=["", *Unwatched.values]), name="plan_unwatched_known"
            ),
            models.CheckConstraint(
                condition=(Q(retention_days=None) | Q(retention_days__range=(1, LONGEST_DAYS)))
                & (Q(trash_days=None) | Q(trash_days__range=(0, LONGEST_DAYS)))
                & (Q(temporary_hours=None) | Q(temporary_hours__range=(1, 24 * LONGEST_DAYS)))
                & Q(audio_days__range=(0, LONGEST_DAYS)),
                name="plan_days_sane",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValidationError({"time_zone": "There is no such time zone."}) from None

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises `ProtectedError` while somebody has the plan, or when it is the default."""
        if self.is_default:
            raise models.ProtectedError("The default plan is everybody's: make another one the default first.", {self})
        return super().delete(*args, **kwargs)


def in_force(field: str, user: str = "") -> Case:
    """For a query: a field of the plan that holds a user, their own or the default. `user` is the way to the user from
    the query's model, with its `__` ("requested_by__"). Null where there is no user's plan and no default.
    """
    default = Subquery(Plan.objects.filter(is_default=True).values(field)[:1])
    return Case(When(**{f"{user}plan__isnull": False}, then=F(f"{user}plan__{field}")), default=default)


def make_first_plan(using: str = DEFAULT_DB_ALIAS, apps: Apps = all_apps, **_kwargs: Any) -> None:
    """After `migrate` and `flush`: without any plan a quota could hold for nobody. `apps` may be of an older state."""
    try:
        plans: models.QuerySet[Any] = models.QuerySet(apps.get_model("accounts", "Plan"), using=using)
    except LookupError:
        return
    if not plans.exists():
        plans.create(name="Default", is_default=True)


class Quota(models.Model):
    """So much of a unit in each period, for each person of a plan or a group, or for one user.

    The nearest wins among quotas of the same unit, period and model: the user's own, else the most generous of their
    groups', else the plan's. Quotas that differ in one of the three hold side by side. A shared one is a pot: all who
    are in its group draw from it, and it holds beside everything else.
    """

    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas"
    )
    model = models.CharField(max_length=200, blank=True, help_text="Empty: all models together.")
    unit = models.CharField(max_length=16, choices=Unit.choices, default=Unit.MESSAGES)
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.DAY)
    limit = _amount(validators=_RANGE)
    hard = models.BooleanField(default=True, help_text="Refuses what is beyond; a soft one only warns.")
    shared = models.BooleanField(
        default=False, db_default=False,
        help_text="One pot for all of the group together, beside what each of them may use; else each by themselves.",
    )  # fmt: skip
    starts_at = models.DateTimeField(default=timezone.now, help_text="When a fixed period begins.")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(plan__isnull=False, group=None, user=None)
                | Q(plan=None, group__isnull=False, user=None)
                | Q(plan=None, group=None, user__isnull=False),
                name="quota_of_one",
                violation_error_message="A quota is of a plan, of a group or of a user: of one of them.",
            ),
            models.CheckConstraint(condition=Q(limit__gte=0, limit__lte=MOST), name="quota_limit_sane"),
            models.CheckConstraint(
                condition=Q(shared=False) | Q(group__isnull=False),
                name="quota_shared_by_group",
                violation_error_message="Only a group can share a quota.",
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="quota_unit_known"),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="quota_period_known"),
            *(
                models.UniqueConstraint(
                    fields=[of, "model", "unit", "period", *(["shared"] if of == "group" else [])],
                    condition=Q((f"{of}__isnull", False)),
                    name=f"quota_once_per_{of}",
                    violation_error_message="There is such a quota already: change that one.",
                )
                for of in ("plan", "group", "user")
            ),
        )

    def __str__(self) -> str:
        shared = ", shared" if self.shared else ""
        what = f"{self.limit.normalize():f} {self.get_unit_display().lower()} ({self.period}{shared})"
        return f"{what} of {self.model}" if self.model else what

    def clean(self) -> None:
        """What has been counted is of one kind for ever; the limit, and whether it is hard or shared, may change."""
        super().clean()
        if not self._state.adding and self.allowances.exists():
            kind = ("plan_id", "group_id", "user_id", "model", "unit", "period")
            before = Quota.objects.values_list(*kind).get(pk=self.pk)
            if tuple(getattr(self, name) for name in kind) != before:
                raise ValidationError("This quota has counted already: only its limit can change. Make another one.")


class Allowance(models.Model):
    """What one person, or all who share it, used of one quota in one period. Changed only in SQL."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="allowances",
        help_text="Empty: the pot of a group.",
    )  # fmt: skip
    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="allowances")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    used = _amount(default=0)
    reserved = _amount(default=0, help_text="By answers that are under way.")
    extra = _amount(default=0, help_text="By top-ups.")

    class Meta:
        indexes = (models.Index(fields=["user", "ends_at"], name="allowance_running"),)
        constraints = (
            models.UniqueConstraint(fields=["user", "quota", "starts_at"], name="allowance_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(reserved__gte=0, used__gte=0, extra__gte=0), name="allowance_sane"),
        )

    def __str__(self) -> str:
        return f"allowance {self.pk}"


class Reservation(models.Model):
    """What a run or recording under way may use. It goes when that ends, however it does."""

    run_id = models.UUIDField(null=True)
    recording_id = models.UUIDField(null=True)
    allowance = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="reservations")
    amount = _amount()

    class Meta:
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["run_id", "allowance"], name="reservation_once"),
            models.UniqueConstraint(fields=["recording_id", "allowance"], name="reservation_once_recording"),
            models.CheckConstraint(
                condition=Q(run_id=None, recording_id__isnull=False) | Q(run_id__isnull=False, recording_id=None),
                name="reservation_of_one",
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="reservation_sane"),
        )

    def __str__(self) -> str:
        return f"reservation of {self.run_id or self.recording_id}"


class TopUp(models.Model):
    """More of a quota in the period in which it is made, for one person or, of a shared quota, for all who share it; a
    reset is one of as much as was used.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="top_ups",
        help_text="Empty where a group shares the quota.",
    )  # fmt: skip
    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="top_ups")
    amount = _amount(validators=_MORE_THAN_NONE)
    is_reset = models.BooleanField(default=False, editable=False)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    allowance = models.ForeignKey(Allowance, null=True, editable=False, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MOST), name="top_up_sane"),
        )

    def __str__(self) -> str:
        return f"top-up {self.amount.normalize():f}"


class Price(models.Model):
    """What a model costs from a moment on. The nearest wins: the model's own before that of all models, then the
    endpoint's own, then the newest. A model without a price costs nobody knows what (`UsageEntry.cost` is null).
    """

    endpoint = models.CharField(max_length=200, blank=True, help_text="Host of the endpoint; empty: any.")
    model = models.CharField(max_length=200, blank=True, help_text="Empty: any model.")
    valid_from = models.DateTimeField(default=timezone.now)
    input_per_million = _amount("per million input tokens", validators=_RANGE)
    cached_per_million = _amount(
        "per million cached input tokens", null=True, blank=True, validators=_RANGE, help_text="Empty: as other input."
    )
    output_per_million = _amount("per million output tokens", validators=_RANGE)
    audio_per_minute = _amount("per minute of audio", default=0, validators=_RANGE)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["model", "endpoint", "valid_from"], name="price_once"),
            models.CheckConstraint(
                condition=Q(
                    input_per_million__range=(0, MOST),
                    output_per_million__range=(0, MOST),
                    audio_per_minute__range=(0, MOST),
                )
                & (Q(cached_per_million=None) | Q(cached_per_million__range=(0, MOST))),
                name="price_sane",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model or 'any model'} from {self.valid_from:%Y-%m-%d}"


class UsageEntry(models.Model):
    """What one answer or recording used. Append-only: a trigger refuses UPDATE and DELETE. One per run."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(help_text="When it was asked for, which is when it counts.")
    user = _owner(null=True)
    run_id = models.UUIDField(null=True, unique=True)
    recording_id = models.UUIDField(null=True, unique=True)
    conversation_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    messages = models.PositiveSmallIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0, help_text="Part of the input.")
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0, help_text="Part of the output.")
    audio_seconds = _amount(default=0)
    cost = _amount(null=True, help_text="Empty: there was no price.")
    estimated = models.BooleanField(default=False, help_text="The endpoint did not say; the numbers are ours.")
    groups = ArrayField(
        models.IntegerField(), default=list, db_default=[], help_text="The ids of those the person was in then."
    )

    class Meta:
        verbose_name_plural = "usage entries"
        indexes = (
            models.Index(fields=["user", "-at"], name="usage_by_user"),
            models.Index(fields=["-at"], name="usage_newest"),
            models.Index(
                fields=["conversation_id"], condition=Q(conversation_id__isnull=False), name="usage_by_conversation"
            ),
        )

    def __str__(self) -> str:
        return f"usage {self.id}"


class DailyUsage(models.Model):
    """The entries of a day (UTC) added up, for speed. `unpriced` and `estimated` count entries."""

    day = models.DateField()
    user = _owner(null=True)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    messages = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    audio_seconds = _amount(default=0)
    cost = _amount(default=0)
    unpriced = models.PositiveBigIntegerField(default=0)
    estimated = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        indexes = (models.Index(fields=["user", "-day"], name="daily_by_user"),)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["day", "user", "model", "endpoint"], name="daily_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return f"usage of {self.day}"

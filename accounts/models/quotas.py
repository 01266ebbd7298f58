"""Plans, quotas, allowances, reservations and top-ups. Money is in one currency, exact to a billionth.

Plan ── Quota ── Allowance (one user or shared quota in one period: used, reserved, extra) ── Reservation (one run)
Usage entries are authoritative. Allowances and daily usage are their sums (`chat.recovery.ledger.check_ledger`).
"""

from __future__ import annotations

import zoneinfo
from typing import Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.models.choices import QuotaPeriod, Unit, Unwatched
from accounts.models.fields import LONGEST_DAYS, MORE_THAN_NONE, MOST, RANGE, amount_field, days_field

CASE_DAYS: Final = 365


class Plan(models.Model):
    """Limits and retention periods. A user without a plan of their own has the default plan."""

    name = models.CharField(max_length=80, unique=True)
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text=_("For example Europe/Berlin. Days begin at midnight in this zone.")
    )
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("Applies to users without a plan of their own.")
    )
    unwatched_runs = models.CharField(
        _("unwatched answers"), max_length=8, blank=True, choices=Unwatched.choices,
        help_text=_("What happens to an answer that nobody has open. If empty, the setting UNWATCHED_RUNS applies."),
    )  # fmt: skip
    show_costs = models.BooleanField(
        _("show costs"), null=True, blank=True,
        help_text=_("Whether users see what their answers cost. If empty, the setting SHOW_COSTS applies."),
    )  # fmt: skip
    retention_days = days_field(
        _("conversation retention (days)"), LONGEST_DAYS, least=1, null=True, blank=True,
        help_text=_("Conversations without activity for this long are deleted. If empty, they are kept."),
    )  # fmt: skip
    trash_days = days_field(
        _("trash retention (days)"), LONGEST_DAYS, null=True, blank=True,
        help_text=_(
            "How long deleted conversations can be restored. If empty, the setting KEEP_DELETED_DAYS applies."
        ),
    )  # fmt: skip
    temporary_hours = days_field(
        _("temporary conversation retention (hours)"), 24 * LONGEST_DAYS, least=1, null=True, blank=True,
        help_text=_("If empty, the deployment's setting applies."),
    )  # fmt: skip
    audio_days = days_field(_("audio retention (days)"), LONGEST_DAYS, default=0, help_text=_("0: audio is not kept."))
    case_days = days_field(
        _("moderation case retention (days)"), LONGEST_DAYS, least=1, default=CASE_DAYS, db_default=CASE_DAYS,
        help_text=_("Decided cases about a user's texts are deleted after this long. Open ones are kept."),
    )  # fmt: skip
    file_mb = models.PositiveIntegerField(
        _("largest file (MB)"), null=True, blank=True, validators=[MaxValueValidator(10_000)],
        help_text=_("That can be attached to a message. If empty, the setting FILE_MAX_MB applies. 0: no files."),
    )  # fmt: skip
    storage_mb = models.PositiveIntegerField(
        _("storage for files (MB)"), null=True, blank=True, validators=[MaxValueValidator(100_000_000)],
        help_text=_("For all files of a user together. If empty, the setting STORAGE_MB applies."),
    )  # fmt: skip
    tool_steps = models.PositiveSmallIntegerField(
        _("steps per answer"), default=12, db_default=12, validators=[MaxValueValidator(100)],
        help_text=_("How many requests to the model one answer may take, including those that return results of tools. "
        "0: no tools."),
    )  # fmt: skip
    tool_calls_at_once = models.PositiveSmallIntegerField(
        _("parallel tool calls"), default=8, db_default=8, validators=[MinValueValidator(1), MaxValueValidator(32)],
        help_text=_("How many tools of one answer may run at the same time."),
    )  # fmt: skip
    tool_seconds = models.PositiveIntegerField(
        _("time limit of an answer with tools (seconds)"), default=900, db_default=900,
        validators=[MinValueValidator(10), MaxValueValidator(86_400)],
        help_text=_("Time spent waiting for a person does not count."),
    )  # fmt: skip
    tool_tokens = models.PositiveIntegerField(
        _("token limit of an answer with tools"), null=True, blank=True,
        help_text=_("For all its steps together. If empty, there is no limit."),
    )  # fmt: skip
    tool_cost = models.DecimalField(
        _("cost limit of an answer with tools (USD)"), max_digits=12, decimal_places=6, null=True, blank=True,
        help_text=_(
            "For all its steps together. At the limit, the answer stops and keeps its text. If empty, "
            "there is no limit."
        ),
    )  # fmt: skip
    api_tokens = models.PositiveSmallIntegerField(
        _("API tokens per user"), null=True, blank=True, validators=[MaxValueValidator(1_000)],
        help_text=_("How many working tokens a user may have. 0: none. If empty, the setting API_TOKENS applies."),
    )  # fmt: skip
    quota_offered = models.BooleanField(db_default=False, default=False, editable=False)  # see quotas.plans

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
            models.CheckConstraint(condition=Q(case_days__range=(1, LONGEST_DAYS)), name="plan_case_days_sane"),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValidationError({"time_zone": gettext("This time zone does not exist.")}) from None

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises `ProtectedError` while somebody has the plan, or when it is the default."""
        if self.is_default:
            raise models.ProtectedError(
                gettext("This is the default plan. Make another plan the default first."), {self}
            )
        return super().delete(*args, **kwargs)


class Quota(models.Model):
    """A limit of one unit in each period, for each user of a plan or a group, or for one user.

    Among quotas of the same unit, period and model the most specific applies: the user's own, else the most generous
    of their groups', else the plan's. Quotas that differ in one of the three apply side by side. A shared quota is
    common to all members of its group and applies in addition.
    """

    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas"
    )
    model = models.CharField(max_length=200, blank=True, help_text=_("If empty, the quota counts all models together."))
    unit = models.CharField(max_length=16, choices=Unit.choices, default=Unit.MESSAGES)
    period = models.CharField(max_length=8, choices=QuotaPeriod.choices, default=QuotaPeriod.DAY)
    limit = amount_field(validators=RANGE)
    hard = models.BooleanField(
        default=True, help_text=_("A hard quota refuses requests beyond the limit. A soft one only warns.")
    )
    shared = models.BooleanField(
        default=False, db_default=False,
        help_text=_("On: the group shares one allowance, in addition to personal quotas. "
        "Off: each member gets this quota."),
    )  # fmt: skip
    starts_at = models.DateTimeField(default=timezone.now, help_text=_("Start of a fixed period."))

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(plan__isnull=False, group=None, user=None)
                | Q(plan=None, group__isnull=False, user=None)
                | Q(plan=None, group=None, user__isnull=False),
                name="quota_of_one",
                violation_error_message=_("Choose exactly one of plan, group and user."),
            ),
            models.CheckConstraint(condition=Q(limit__gte=0, limit__lte=MOST), name="quota_limit_sane"),
            models.CheckConstraint(
                condition=Q(shared=False) | Q(group__isnull=False),
                name="quota_shared_by_group",
                violation_error_message=_("Only a group can share a quota."),
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="quota_unit_known"),
            models.CheckConstraint(condition=Q(period__in=QuotaPeriod.values), name="quota_period_known"),
            *(
                models.UniqueConstraint(
                    fields=[of, "model", "unit", "period", *(["shared"] if of == "group" else [])],
                    condition=Q((f"{of}__isnull", False)),
                    name=f"quota_once_per_{of}",
                    violation_error_message=_("This quota already exists. Change that one instead."),
                )
                for of in ("plan", "group", "user")
            ),
        )

    def __str__(self) -> str:
        what = {
            "limit": f"{self.limit.normalize():f}",
            "unit": self.get_unit_display(),
            "period": self.get_period_display(),
            "model": self.model,
        }
        if self.shared and self.model:
            return gettext("%(unit)s: %(limit)s (%(period)s, %(model)s, shared)") % what
        if self.shared:
            return gettext("%(unit)s: %(limit)s (%(period)s, shared)") % what
        if self.model:
            return gettext("%(unit)s: %(limit)s (%(period)s, %(model)s)") % what
        return gettext("%(unit)s: %(limit)s (%(period)s)") % what

    def clean(self) -> None:
        """Once usage is counted, only the limit and whether the quota is hard or shared may change."""
        super().clean()
        if not self._state.adding and self.allowances.exists():
            kind = ("plan_id", "group_id", "user_id", "model", "unit", "period")
            before = Quota.objects.values_list(*kind).get(pk=self.pk)
            if tuple(getattr(self, name) for name in kind) != before:
                raise ValidationError(
                    gettext(
                        "Usage is already counted in this quota, so only its limit can change. Create another quota."
                    )
                )


class Allowance(models.Model):
    """Usage of one quota in one period, by one user or by the group that shares it. Changed only in SQL."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="allowances",
        help_text=_("Empty for the shared quota of a group."),
    )  # fmt: skip
    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="allowances")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    used = amount_field(default=0)
    reserved = amount_field(default=0, help_text=_("Reserved by answers in progress."))
    extra = amount_field(default=0, help_text=_("Added by top-ups."))

    class Meta:
        indexes = (models.Index(fields=["user", "ends_at"], name="allowance_running"),)
        constraints = (
            models.UniqueConstraint(fields=["user", "quota", "starts_at"], name="allowance_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(reserved__gte=0, used__gte=0, extra__gte=0), name="allowance_sane"),
        )

    def __str__(self) -> str:
        return gettext("Allowance %(id)s") % {"id": self.pk}


class Reservation(models.Model):
    """The amount that a run or recording in progress may use. Deleted when the run or recording ends."""

    run_id = models.UUIDField(null=True)
    recording_id = models.UUIDField(null=True)
    allowance = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="reservations")
    amount = amount_field()

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
    """An addition to a quota in the current period, for one user or, with a shared quota, for its group.

    A reset is a top-up of the amount that was used.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="top_ups",
        help_text=_("Empty for a shared quota."),
    )  # fmt: skip
    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="top_ups")
    amount = amount_field(validators=MORE_THAN_NONE)
    is_reset = models.BooleanField(default=False, editable=False)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    allowance = models.ForeignKey(Allowance, null=True, editable=False, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("top-up"), _("top-ups")
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lte=MOST), name="top_up_sane"),
        )

    def __str__(self) -> str:
        return gettext("Top-up of %(amount)s") % {"amount": f"{self.amount.normalize():f}"}

"""How long conversations are kept: by the plans of their owners, else by the settings (docs/operations.md).

Of several owners, the one with the longest retention decides, so that no plan deletes what another one keeps. Plans of
editors and viewers do not matter. The settings decide for a conversation without an owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Coalesce, Greatest

from accounts.models import Plan, User
from accounts.quotas.plans import plan_field
from chat.models import Conversation, Member, Role


@dataclass(frozen=True)
class RetentionPeriod:
    """A span of time after the latest of the columns `stamps` of a conversation.

    `field` of `Plan` has its length in `unit`s, and `setting` the length where that is empty. Without either it never
    ends.
    """

    stamps: tuple[str, ...]
    field: str
    unit: timedelta
    setting: str = ""

    @property
    def default(self) -> int | None:
        return getattr(settings, self.setting) if self.setting else None


# An imported conversation is as old as its last message, but has been here only since `created_at`.
TOUCHED: Final = ("updated_at", "created_at")
AGE: Final = RetentionPeriod(TOUCHED, "retention_days", timedelta(days=1))
TRASH: Final = RetentionPeriod(("deleted_at",), "trash_days", timedelta(days=1), "KEEP_DELETED_DAYS")
TEMPORARY: Final = RetentionPeriod(TOUCHED, "temporary_hours", timedelta(hours=1), "TEMPORARY_HOURS")


def past_retention(period: RetentionPeriod, rows: QuerySet[Conversation], now: datetime) -> QuerySet[Conversation]:
    """Those of `rows` whose retention is over at `now`."""
    default = period.default
    spans = Plan.objects.aggregate(least=Min(period.field), most=Max(period.field))
    shortest = min((span for span in (default, spans["least"]) if span is not None), default=None)
    if shortest is None:
        return rows.none()
    # First by an index: rows that no plan would delete yet.
    rows = _before(rows, period, now - shortest * period.unit)
    span: Any = plan_field(period.field, "user__")
    owners = Member.objects.filter(conversation=OuterRef("pk"), role=Role.OWNER)
    if default is None:
        owners = owners.annotate(span=span)
        keeps, ownerless = Q(span=None), Q(pk=None)
    else:
        owners = owners.annotate(span=Coalesce(span, Value(default)))
        keeps, ownerless = Q(), Q(*((f"{stamp}__lt", now - default * period.unit) for stamp in period.stamps))
    latest: Any = Greatest(*map(OuterRef, period.stamps)) if len(period.stamps) > 1 else OuterRef(period.stamps[0])
    ends = latest + ExpressionWrapper(F("span") * Value(period.unit), output_field=DurationField())
    kept = owners.annotate(ends=ExpressionWrapper(ends, output_field=DateTimeField())).filter(
        Q(ends__gte=now) | (keeps or Q(pk=None))
    )
    return rows.filter(~Exists(kept) & (Exists(owners) | ownerless))


def _before(rows: QuerySet[Conversation], period: RetentionPeriod, moment: datetime) -> QuerySet[Conversation]:
    return rows.filter(*(Q((f"{stamp}__lt", moment)) for stamp in period.stamps))


def temporary_hours(user: User) -> int:
    """How many hours a temporary conversation of this user is kept after its last message."""
    hours = User.objects.filter(pk=user.pk).values_list(plan_field("temporary_hours"), flat=True).first()
    return settings.TEMPORARY_HOURS if hours is None else hours

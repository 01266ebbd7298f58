"""Gives cases back to the queue that somebody has claimed and not decided."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Now

from chat.models.moderation import CaseStatus, ModerationCase


def stale_claims(hours: float) -> QuerySet[ModerationCase]:
    """The cases that were claimed more than so many hours ago and are not decided."""
    return ModerationCase.objects.filter(status=CaseStatus.CLAIMED, claimed_at__lt=Now() - timedelta(hours=hours))


def requeue_stale(hours: float) -> int:
    """Gives them back to the queue, one with an appeal as such; returns how many. A case that is decided meanwhile
    stays decided.
    """
    back = Case(
        When(appealed_at__isnull=False, then=Value(CaseStatus.APPEALED.value)), default=Value(CaseStatus.OPEN.value)
    )
    return stale_claims(hours).update(status=back, claimed_by=None, claimed_at=None)

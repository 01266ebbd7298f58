"""Figures of moderation: the queue, and what was found and decided in a number of days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max
from django.db.models.functions import Now

from chat.models.asking import Unjudged
from chat.models.moderation import CaseStatus, ModerationCase, ModerationDecision, ModerationReport


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The cases, or texts, that wait, and the age of the oldest in seconds (0: there is none)."""

    open: int
    oldest_seconds: float


def queue_figures() -> QueueFigures:
    """One query, by the index of the queue. Raises a database error."""
    rows = ModerationCase.objects.exclude(status=CaseStatus.DECIDED)
    waits = Max(ExpressionWrapper(Now() - F("opened_at"), output_field=DurationField()))  # by the database's clock
    found = rows.aggregate(open=Count("pk"), oldest=waits)
    age = found["oldest"].total_seconds() if found["oldest"] else 0.0
    return QueueFigures(found["open"], max(0.0, age))


def unjudged_figures() -> QueueFigures:
    """The texts that are shown and wait for a judge. One query. Raises a database error."""
    waits = Max(ExpressionWrapper(Now() - F("created_at"), output_field=DurationField()))
    found = Unjudged.objects.aggregate(open=Count("pk"), oldest=waits)
    return QueueFigures(found["open"], max(0.0, found["oldest"].total_seconds() if found["oldest"] else 0.0))


def figures_of(days: int) -> dict[str, Any]:
    """What the command `moderation stats` shows: the queue, and the cases, decisions and reports of the last days."""
    since = Now() - timedelta(days=days)
    queue, unjudged = queue_figures(), unjudged_figures()
    cases = ModerationCase.objects.filter(opened_at__gte=since)
    return {
        "days": days,
        "open": queue.open,
        "oldest_seconds": round(queue.oldest_seconds),
        "unjudged": unjudged.open,
        "unjudged_oldest_seconds": round(unjudged.oldest_seconds),
        "by_status": _count(ModerationCase.objects.exclude(status=CaseStatus.DECIDED), "status"),
        "cases": cases.count(),
        "by_origin": _count(cases, "origin"),
        "by_direction": _count(cases, "direction"),
        "by_action": _count(cases, "action"),
        "by_category": _count(cases, "category"),
        "decisions": _count(ModerationDecision.objects.filter(decided_at__gte=since), "kind"),
        "reports": _count(ModerationReport.objects.filter(reported_at__gte=since), "reason"),
    }


def _count(rows: Any, field: str) -> dict[str, int]:
    found = rows.order_by().values_list(field).annotate(number=Count("pk")).order_by("-number", field)
    return {str(value): number for value, number in found}

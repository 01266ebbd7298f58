"""Strikes: what decisions count against a person, and which step of the policy they reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from chat.models.moderation import DecisionKind, ModerationCase, ModerationDecision, Severity
from chat.models.strikes import Consequence, PolicyStep, Strike, StrikeScale

COUNTED: Final = (DecisionKind.WARN, DecisionKind.MASK, DecisionKind.DELETE)
# Strikes and days of each severity where the table has no row for it.
SHIPPED: Final = {Severity.LOW: (1, 30), Severity.MEDIUM: (1, 90), Severity.HIGH: (2, 180), Severity.CRITICAL: (3, 365)}
_SEVERITY: Final = {kind: number for number, kind in enumerate(Consequence.values)}


def give(case: ModerationCase, decisions: Sequence[ModerationDecision]) -> Strike | None:
    """The strike for these decisions of one case: one at most, by the case's severity; None if they are none."""
    counted = next((one for one in decisions if one.kind in COUNTED), None)
    if counted is None or case.person_id is None:
        return None
    stored = StrikeScale.objects.filter(severity=case.severity).values_list("strikes", "days").first()
    strikes, days = stored or SHIPPED[Severity(case.severity)]
    if not strikes:
        return None
    now = timezone.now()
    return Strike.objects.create(
        decision=counted, person_id=case.person_id, count=strikes, given_at=now,
        expires_at=now + timedelta(days=days),
    )  # fmt: skip


def take_back(case: ModerationCase) -> int:
    """Takes back the strikes of a case, as after a successful appeal; returns how many rows."""
    theirs = Strike.objects.filter(decision__case=case, taken_back_at=None)
    return theirs.update(taken_back_at=timezone.now())


def valid_strikes(person: User) -> QuerySet[Strike]:
    """Those that count now."""
    return Strike.objects.filter(person=person, taken_back_at=None, expires_at__gt=timezone.now())


def reached_step(case: ModerationCase) -> PolicyStep | None:
    """The most severe enabled step that the person of a case has reached with their strikes; None if none is."""
    if case.person is None:
        return None
    reached = []
    for step in PolicyStep.objects.filter(enabled=True):
        since = timezone.now() - timedelta(days=step.days)
        total = valid_strikes(case.person).filter(given_at__gte=since).aggregate(total=Sum("count"))["total"] or 0
        if total >= step.strikes:
            reached.append(step)
    return max(reached, key=lambda step: (_SEVERITY[step.consequence], step.hours or 0), default=None)

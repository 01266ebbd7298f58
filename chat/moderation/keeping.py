"""How long cases are kept, and what is left of those of an erased user."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Min, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.models import Plan, User
from accounts.models.quotas import CASE_DAYS
from accounts.quotas.plans import plan_field
from chat.models.moderation import CaseStatus, ModerationCase, ModerationReport


def expired_cases(now: datetime) -> QuerySet[ModerationCase]:
    """The decided cases that the plan of the person, or the default plan, does not keep any longer at `now`.

    An open case is kept: it may hold the only copy of a text that somebody waits for.
    """
    shortest = Plan.objects.aggregate(least=Min("case_days"))["least"] or CASE_DAYS
    # First by what an index could do: cases that no plan would delete yet.
    rows = ModerationCase.objects.filter(status=CaseStatus.DECIDED, decided_at__lt=now - timedelta(days=shortest))
    days: Any = Coalesce(plan_field("case_days", "person__"), Value(CASE_DAYS))
    span = ExpressionWrapper(days * Value(timedelta(days=1)), output_field=DurationField())
    ends = ExpressionWrapper(F("decided_at") + span, output_field=DateTimeField())
    return rows.filter(pk__in=rows.annotate(ends=ends).filter(ends__lt=now).values("pk"))


def blank_cases(user: User) -> None:
    """Empties the texts of the cases about this user, and of the reports on them and by this user. That there was a
    case, why, and what was decided stays. To be called before the account is deleted.
    """
    cases = ModerationCase.objects.filter(person=user)
    ModerationReport.objects.filter(Q(case__in=cases) | Q(reporter=user)).exclude(note="").update(note="")
    cases.update(original="", original_reasoning="", appeal="")

"""The admin page of one user: state, remaining quotas, usage of the last 30 days, sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils.translation import gettext

from accounts.auth.devices import describe_device
from accounts.auth.second_factor.policy import FACTORS
from accounts.auth.sessions import live_sessions
from accounts.models import Plan, User
from accounts.quotas.balance import Balance, user_balances
from accounts.quotas.usage_report import DAYS, days_and_models, draw_days
from accounts.quotas.wording import left_sentence
from accounts.staff.user_links import links_for
from accounts.staff.user_panels import panels_for
from accounts.suspension import is_suspended

SESSIONS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class QuotaBar:
    """One quota as a bar, full at 100 `percent`."""

    id: int
    text: str
    note: str
    percent: int
    is_used: bool

    @property
    def color(self) -> str:
        """unfold's class for the colour: normal, near the limit, used up."""
        return "bg-red-600" if self.percent >= 100 else "bg-orange-500" if self.percent >= 80 else "bg-primary-600"


def quota_bars(user: User) -> list[QuotaBar]:
    """A bar for each quota that applies to the user."""
    return [_bar(balance) for balance in user_balances(user.pk)]


def _bar(balance: Balance) -> QuotaBar:
    used = balance.used + balance.reserved
    percent = min(int(100 * used / balance.limit), 100) if balance.limit else 100
    notes = [] if balance.hard else [gettext("soft")]
    if balance.ends_at:
        notes.append(gettext("resets %(time)s UTC") % {"time": f"{balance.ends_at:%Y-%m-%d %H:%M}"})
    if balance.shared_by:
        notes.append(gettext("shared by %(group)s") % {"group": balance.shared_by})
    return QuotaBar(balance.quota_id, left_sentence(balance), " · ".join(notes), percent, balance.used > 0)


def with_page_facts(users: QuerySet[User]) -> QuerySet[User]:
    """Users with what `describe_user` needs of them, in the same query."""
    default = Plan.objects.filter(is_default=True).values("name")[:1]
    factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=FACTORS)
    return users.select_related("plan").annotate(default_plan=Subquery(default), has_factor=Exists(factors))


def describe_user(viewer: User, user: Any) -> dict[str, Any]:
    """The context of the page of a user of `with_page_facts`, with what `viewer` may see. The number of queries is
    constant.
    """
    context: dict[str, Any] = {
        "person": user,
        "plan": user.plan or user.default_plan,
        "links": links_for(viewer, user),
        "panels": panels_for(viewer, user),
        "suspended": is_suspended(user),
        "last_seen": user.last_login,
        "has_factor": user.has_factor,
    }
    if viewer.has_perm("accounts.view_allowance"):
        context["quotas"] = quota_bars(user)
    if viewer.has_perm("accounts.view_dailyusage"):
        context["usage"] = _usage(user)
    live = live_sessions().filter(user=user).order_by("-last_seen_at")
    sessions = list(live.defer("session_data")[: SESSIONS_SHOWN + 1])
    if sessions:
        context["last_seen"] = sessions[0].last_seen_at
    context["more_sessions"] = len(sessions) > SESSIONS_SHOWN
    context["sessions"] = [{"row": row, "device": describe_device(row.user_agent)} for row in sessions[:SESSIONS_SHOWN]]
    return context


def _usage(user: User) -> dict[str, Any]:
    until = datetime.now(UTC).date()
    since = until - timedelta(days=DAYS - 1)
    days, models = days_and_models(user.pk, since, until)
    return {
        "bars": draw_days(days, until),
        "since": since,
        "until": until,
        "models": models,
        "cost": sum((row.cost for row in models), Decimal(0)),
        "unpriced": sum(row.unpriced for row in models),
        "currency": settings.CURRENCY,
    }

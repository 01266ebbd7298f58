"""Staff's page of people: how many were active by day and by month, and how many each plan has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.lib.charts import Column, draw
from accounts.lib.formatting import NOTHING, number
from chat.dashboard import queries
from chat.dashboard.cache import cache
from chat.dashboard.links import Links
from chat.dashboard.panels import TOO_SLOW_NOW, Panel

PERMISSION: Final = "accounts.view_dashboard"
SECONDS: Final = 300.0  # that the figures are cached
DAYS: Final = 60
MONTHS: Final = 12

_DAYS: Final = """
SELECT day, count(DISTINCT user_id) FROM accounts_dailyusage WHERE day >= %(since)s AND messages > 0 GROUP BY 1
"""
# One look-up for each person and month, erased ones included: there are hundreds of thousands of days in a year.
_MONTHS: Final = """
WITH RECURSIVE people (id) AS (
    (SELECT user_id FROM accounts_dailyusage WHERE user_id IS NOT NULL ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.user_id FROM accounts_dailyusage d WHERE d.user_id > p.id ORDER BY d.user_id LIMIT 1)
    FROM people p WHERE p.id IS NOT NULL
)
SELECT m.first, count(*) FROM unnest(%(firsts)s::date[], %(nexts)s::date[]) m (first, next), people p WHERE EXISTS (
    SELECT FROM accounts_dailyusage d
    WHERE d.user_id = p.id AND d.day >= m.first AND d.day < m.next AND d.messages > 0
) GROUP BY 1
"""
_PLANS: Final = """
WITH used AS MATERIALIZED (
    SELECT DISTINCT user_id FROM accounts_dailyusage WHERE day >= %(since)s AND messages > 0
)
SELECT p.id, p.name, p.is_default, count(u.id) FILTER (WHERE u.is_active),
    count(u.id) FILTER (WHERE NOT u.is_active), count(used.user_id) FILTER (WHERE u.is_active)
FROM accounts_plan p LEFT JOIN accounts_user u ON u.plan_id = p.id OR (u.plan_id IS NULL AND p.is_default)
LEFT JOIN used ON used.user_id = u.id
GROUP BY p.id, p.name, p.is_default ORDER BY 4 DESC, p.name
"""


@dataclass(frozen=True, slots=True)
class PlanPeople:
    """`used`: active accounts that wrote in the last 30 days."""

    id: int
    name: str
    is_default: bool
    active: int
    disabled: int
    used: int


@dataclass(frozen=True, slots=True)
class People:
    """Active people by the first day of a day or month; who wrote at least one message counts. None: not known."""

    days: dict[date, int] | None
    months: dict[date, int] | None
    plans: list[PlanPeople] | None


def read_people(today: date) -> People:
    firsts = [month_before(today, back) for back in range(MONTHS - 1, -2, -1)]  # with the one after this month
    days = queries.read_rows(_DAYS, {"since": today - timedelta(days=DAYS - 1)})
    months = queries.read_rows(_MONTHS, {"firsts": firsts[:-1], "nexts": firsts[1:]})
    plans = queries.read_rows(_PLANS, {"since": today - timedelta(days=29)})
    return People(
        None if days is None else dict(days),
        None if months is None else dict(months),
        None if plans is None else [PlanPeople(*row) for row in plans],
    )


def month_before(day: date, months: int) -> date:
    """The first day of the month that is `months` before the one of `day`."""
    place = day.year * 12 + day.month - 1 - months
    return date(place // 12, place % 12 + 1, 1)


@require_safe
def show_people(request: HttpRequest) -> HttpResponseBase:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    today, links = datetime.now(UTC).date(), Links(request)
    people = cache.get("people", SECONDS, lambda: read_people(today))
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    months = [month_before(today, back) for back in range(MONTHS - 1, -1, -1)]
    context = {
        **admin.site.each_context(request),
        "title": gettext("People"),
        "panels": [
            _panel("days", gettext("Active people per day"), people.days, days, lambda day: date_format(day, "d M"),
                   gettext("Day (UTC)")),
            _panel("months", gettext("Active people per month"), people.months, months,
                   lambda day: date_format(day, "M Y"), gettext("Month (UTC)")),
        ],
        "plans": [_plan_row(one, links) for one in people.plans or []],
        "wrong": str(TOO_SLOW_NOW) if people.plans is None else "",
    }  # fmt: skip
    return TemplateResponse(request, "admin/people.html", context)


def _panel(
    key: str, title: str, found: dict[date, int] | None, steps: Sequence[date], label: Callable[[date], str], first: str
) -> Panel:
    if found is None:
        return Panel(key, title, wrong=str(TOO_SLOW_NOW))
    shown = [(label(step), number(found.get(step, 0)), found.get(step, 0)) for step in steps]
    chart = draw([Column(f"{name}: {text}", (float(count),)) for name, text, count in shown])
    return Panel(
        key, title, chart=chart, most=number(chart.most), span=(shown[0][0], shown[-1][0]),
        legend=[gettext("people who wrote a message")], head=[first, gettext("Active")],
        rows=[[name, text] for name, text, _count in shown],
    )  # fmt: skip


def _plan_row(one: PlanPeople, links: Links) -> dict[str, Any]:
    chosen = {"plan__isnull": "True"} if one.is_default else {"plan__id__exact": str(one.id)}
    name = gettext("%(plan)s (default)") % {"plan": one.name} if one.is_default else one.name
    return {
        "name": name or NOTHING,
        "href": links.list("accounts", "user", **chosen),
        "active": number(one.active),
        "used": number(one.used),
        "disabled": number(one.disabled),
    }

"""Staff's usage page: everybody's tokens and cost as charts by day and model, and a table by user, model, group or day,
also as a CSV file.

All of it is read from the sums of days, so it reads few rows however large the ledger is. The page says so when a query
takes longer than `TIMEOUT_SECONDS`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.db import QueryTimeoutError, statement_timeout
from accounts.lib.formatting import NOTHING, money, number
from accounts.lib.replica import reports
from accounts.lib.streaming import rows_line, stream_file
from accounts.models import UsageReport
from accounts.quotas.usage_report import (
    By,
    GroupUsage,
    Row,
    group_rows,
    usage_by_day_and_model,
    usage_rows,
    write_rows,
)
from accounts.roles import all_roles
from accounts.staff.report_mails import address_of
from chat.dashboard.panels import Panel, Step, Tile, price_note, usage_panels

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

PERMISSION: Final = "accounts.view_dailyusage"
KINDS: Final[dict[By, StrPromise]] = {
    "user": _("User"), "model": _("Model"), "group": _("Group"), "day": _("Day (UTC)"),
}  # fmt: skip
HEADINGS: Final[dict[By, StrPromise]] = {
    "user": _("By user"), "model": _("By model"), "group": _("By group"), "day": _("By day (UTC)"),
}  # fmt: skip
DAYS: Final = 30
MAX_DAYS: Final = 366
MAX_BARS: Final = 62  # a longer time has one bar per week
MAX_REPORTS: Final = 20  # saved ones that are linked
MAX_ROWS: Final = 100  # of the table; the file has all of them
TIMEOUT_SECONDS: Final = 10
TOO_SLOW: Final = format_lazy(
    _("Unknown: the query took longer than {seconds} s. Choose a shorter period."), seconds=TIMEOUT_SECONDS
)


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """What the address asks for. Invalid parts of it are ignored. Days are UTC, both included."""

    since: date
    until: date
    by: By
    group: int | None = None  # only of users who were in it then

    def address(self, **other: str) -> str:
        query = {"from": str(self.since), "to": str(self.until), "by": self.by}
        if self.group is not None and "by" not in other:
            query["group"] = str(self.group)
        query |= other
        return f"{reverse('admin:usage')}?{urlencode(query)}"


def parse_query(request: HttpRequest, today: date) -> ReportQuery:
    until = min(_day(request.GET.get("to", "")) or today, today)
    since = _day(request.GET.get("from", "")) or until - timedelta(days=DAYS - 1)
    since = max(min(since, until), until - timedelta(days=MAX_DAYS - 1))
    by, group = request.GET.get("by", ""), request.GET.get("group", "")
    chosen = int(group) if group.isascii() and group.isdigit() and len(group) < 10 else None
    known: By = by if by in KINDS else "user"
    return ReportQuery(since, until, known, chosen if known != "group" else None)


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year >= 2000 else None  # so that there are days before it


@require_safe
def show_usage(request: HttpRequest) -> HttpResponseBase:
    """Query: `from`, `to`, `by` (user, model, group, day), `format=csv`."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    today = datetime.now(UTC).date()
    query = parse_query(request, today)
    if request.GET.get("format") == "csv":
        audit.record(request, "export_usage", user_of(request))
        name = f"usage-by-{query.by}-{query.since}-{query.until}.csv"
        return stream_file(request, name, "text/csv; charset=utf-8", _file(query))
    try:
        with reports() as database, statement_timeout(TIMEOUT_SECONDS, using=database):
            days = usage_by_day_and_model(query.since, query.until)
            groups = _group_usage(query) if query.by == "group" else None
            rows = groups.rows if groups else _rows(query, most=MAX_ROWS + 1)
            totals = usage_rows(query.since, query.until, "day", group=query.group)
    except QueryTimeoutError:
        return _page(request, query, today, wrong=TOO_SLOW)
    return _page(
        request,
        query,
        today,
        panels=panels(query, days),
        rows=[_shown(row, query, request) for row in rows[:MAX_ROWS]],
        total=_shown(groups.total, query, request) if groups else None,
        several=_several(groups) if groups else "",
        more=len(rows) > MAX_ROWS,
        tiles=tiles(totals),
    )


def _page(request: HttpRequest, query: ReportQuery, today: date, **found: Any) -> TemplateResponse:
    month = today.replace(day=1)
    last = month - timedelta(days=1)
    spans = [
        (ngettext("%(count)d day", "%(count)d days", days) % {"count": days}, today - timedelta(days=days - 1), today)
        for days in (7, 30, 90, 365)
    ]
    spans += [(gettext("This month"), month, today), (gettext("Last month"), last.replace(day=1), last)]
    context = {
        **admin.site.each_context(request),
        "title": gettext("Usage"),
        "query": query,
        "today": today,
        "kinds": KINDS.items(),
        "group_name": _group_name(query.group),
        "by_model": query.address(by="model", group=str(query.group)),
        "by_user": query.address(by="user", group=str(query.group)),
        "by_group": query.address(by="group"),
        "head": [
            KINDS[query.by],
            gettext("Messages"),
            gettext("Input tokens"),
            gettext("Cached"),
            gettext("Output tokens"),
            gettext("Reasoning"),
            gettext("Speech (min)"),
            gettext("Cost"),
            gettext("Unpriced"),
        ],
        "heading": HEADINGS[query.by],
        "spans": [
            (
                name,
                ReportQuery(since, until, query.by, query.group).address(),
                (since, until) == (query.since, query.until),
            )
            for name, since, until in spans
        ],
        "file": query.address(format="csv"),
        "reports": _reports(query) if request.user.has_perm("accounts.view_usagereport") else [],
        "save": _save_address(query) if request.user.has_perm("accounts.add_usagereport") else "",
        "currency": settings.CURRENCY,
        **found,
    }
    return TemplateResponse(request, "admin/usage.html", context)


def _reports(query: ReportQuery) -> list[tuple[str, str]]:
    """(name, address) of the saved reports, in the time that the page shows."""
    return [
        (row.name, address_of(row, str(query.since), str(query.until)))
        for row in UsageReport.objects.all()[:MAX_REPORTS]
    ]


def _save_address(query: ReportQuery) -> str:
    asked = {"by": query.by} | ({"group": str(query.group)} if query.group is not None else {})
    return f"{reverse('admin:accounts_usagereport_add')}?{urlencode(asked)}"


def _file(query: ReportQuery) -> Iterator[str]:
    out = io.StringIO()
    with reports():
        rows = [*groups.rows, groups.total] if (groups := _file_groups(query)) else _rows(query)
    write_rows(rows, query.by, out, "csv")
    yield f"{out.getvalue()}{rows_line(len(rows))}\n"


def _rows(query: ReportQuery, most: int | None = None) -> list[Row]:
    return usage_rows(query.since, query.until, query.by, group=query.group, most=most)


def _group_usage(query: ReportQuery) -> GroupUsage:
    return group_rows(query.since, query.until, roles=[role.name for role in all_roles()])


def _file_groups(query: ReportQuery) -> GroupUsage | None:
    return _group_usage(query) if query.by == "group" else None


def _several(groups: GroupUsage) -> str:
    """How much more the rows add up to than the total; empty where nobody was in several groups."""
    if not groups.several.messages:
        return ""
    said = ngettext(
        "The rows add up to more than the total: %(messages)s message with a cost of %(cost)s is of users who were in "
        "several groups, and is counted in each.",
        "The rows add up to more than the total: %(messages)s messages with a cost of %(cost)s are of users who were "
        "in several groups, and are counted in each.",
        groups.several.messages,
    )
    return said % {"messages": number(groups.several.messages), "cost": money(groups.several.cost)}


def _group_name(group: int | None) -> str:
    if group is None:
        return ""
    return Group.objects.filter(pk=group).values_list("name", flat=True).first() or f"#{group}"


def tiles(days: Sequence[Row]) -> list[Tile]:
    """The sums of `days`."""

    def total(name: str) -> float:
        return float(sum(getattr(day, name) for day in days))

    input_tokens, estimated = total("input_tokens"), total("estimated")
    cached = guessed = ""
    if input_tokens:
        percent = f"{100 * total('cached_tokens') / input_tokens:.0f}"
        cached = gettext("%(percent)s\u202f%% cached") % {"percent": percent}
    if estimated:
        guessed = gettext("%(count)s with estimated tokens") % {"count": number(estimated)}
    reasoning = gettext("%(count)s for reasoning") % {"count": number(total("reasoning_tokens"))}
    return [
        Tile(gettext("Messages"), number(total("messages")), guessed),
        Tile(gettext("Input tokens"), number(input_tokens), cached),
        Tile(gettext("Output tokens"), number(total("output_tokens")), reasoning),
        Tile(gettext("Speech"), f"{total('audio_seconds') / 3600:.1f}\u202fh"),
        Tile(
            gettext("Cost"), money(sum((day.cost for day in days), Decimal(0))),
            price_note(total("unpriced"), is_used=any(day.messages for day in days)),
        ),
    ]  # fmt: skip


def panels(query: ReportQuery, found: Sequence[tuple[date, str, int, Decimal]]) -> list[Panel]:
    """Tokens and cost, a bar for each day, or for each week of a long time. `found`: (day, model, tokens, cost)."""
    length = 1 if (query.until - query.since).days < MAX_BARS else 7
    days = range(0, (query.until - query.since).days + 1, length)
    steps = [query.since + timedelta(days=day) for day in days]
    return usage_panels(
        ((steps[(day - query.since).days // length], model, tokens, cost) for day, model, tokens, cost in found),
        [Step(first, date_format(first, "d M Y")) for first in steps],
        first_column=gettext("From"),
        tokens_title=gettext("Tokens per day") if length == 1 else gettext("Tokens per week"),
        cost_title=(gettext("Cost per day (%(currency)s)") if length == 1 else gettext("Cost per week (%(currency)s)"))
        % {"currency": settings.CURRENCY},
        span=(date_format(steps[0], "d M Y"), date_format(query.until, "d M Y")),
    )


def _shown(row: Row, query: ReportQuery, request: HttpRequest) -> dict[str, Any]:
    href = ""
    if query.by == "group":
        href = query.address(by="user", group=row.key) if row.key else ""
    elif row.key and request.user.has_perm("accounts.view_user"):
        href = reverse("admin:accounts_user_change", args=[row.key])
    elif query.by == "day":
        href = f"{reverse('admin:accounts_dailyusage_changelist')}?day__exact={row.name}"
    cells = [row.messages, row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens]
    return {
        "name": gettext("Total")
        if row.name == "total" and query.by == "group" and not row.key
        else row.name or NOTHING,
        "href": href,
        "cells": [*map(number, cells), f"{row.audio_seconds / 60:.0f}", money(row.cost), number(row.unpriced)],
    }

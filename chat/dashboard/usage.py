"""Everybody's use, for staff: charts by day and model, and a table by what they choose, also as a file.

All of it from the sums of days, so it reads few rows however large the ledger is; what takes longer than
`PATIENCE_SECONDS` is said to, and not waited for.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.lib.charts import Column, draw
from accounts.lib.formatting import NOTHING, money, number
from accounts.lib.streaming import stream_file
from accounts.models import User
from accounts.quotas.usage_report import By, Row, usage_by_day_and_model, usage_rows, write_rows
from chat.dashboard.home import SERIES, Panel

PERMISSION: Final = "accounts.view_dailyusage"
KINDS: Final[dict[By, str]] = {"user": "Person", "model": "Model", "group": "Group", "day": "Day (UTC)"}
DAYS: Final = 30
MOST_DAYS: Final = 366
MOST_BARS: Final = 62  # else one for each week
MOST_ROWS: Final = 100  # of the table; the file has all
PATIENCE_SECONDS: Final = 10
TOO_LONG: Final = f"Not known: it took longer than {PATIENCE_SECONDS} s. Choose a shorter time."


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """What the address asks for; what makes no sense in it is as if it were not there. Days are UTC, both included."""

    since: date
    until: date
    by: By

    def address(self, **other: str) -> str:
        query = {"from": str(self.since), "to": str(self.until), "by": self.by, **other}
        return f"{reverse('admin:usage')}?{urlencode(query)}"


def parse_query(request: HttpRequest, today: date) -> ReportQuery:
    until = min(_day(request.GET.get("to", "")) or today, today)
    since = _day(request.GET.get("from", "")) or until - timedelta(days=DAYS - 1)
    since = max(min(since, until), until - timedelta(days=MOST_DAYS - 1))
    by = request.GET.get("by", "")
    return ReportQuery(since, until, by if by in KINDS else "user")


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
        assert isinstance(request.user, User)  # staff pages are behind a login
        audit.record(request, "export_usage", request.user)
        name = f"usage-by-{query.by}-{query.since}-{query.until}.csv"
        return stream_file(request, name, "text/csv; charset=utf-8", _file(query))
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{PATIENCE_SECONDS}s"])
            days = usage_by_day_and_model(query.since, query.until)
            rows = usage_rows(query.since, query.until, query.by, most=MOST_ROWS + 1)
            totals = usage_rows(query.since, query.until, "day")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "57014":  # query_canceled
            raise
        return _page(request, query, today, wrong=TOO_LONG)
    return _page(
        request,
        query,
        today,
        panels=panels(query, days),
        rows=[_shown(row, query, request) for row in rows[:MOST_ROWS]],
        more=len(rows) > MOST_ROWS,
        tiles=tiles(totals),
    )


def _page(request: HttpRequest, query: ReportQuery, today: date, **found: Any) -> TemplateResponse:
    spans = [(f"{days} days", today - timedelta(days=days - 1)) for days in (7, 30, 90, 365)]
    context = {
        **admin.site.each_context(request),
        "title": "Usage",
        "query": query,
        "today": today,
        "kinds": KINDS.items(),
        "kind": KINDS[query.by],
        "spans": [
            (name, ReportQuery(since, today, query.by).address(), (since, today) == (query.since, query.until))
            for name, since in spans
        ],
        "file": query.address(format="csv"),
        "currency": settings.CURRENCY,
        **found,
    }
    return TemplateResponse(request, "admin/usage.html", context)


def _file(query: ReportQuery) -> Iterator[str]:
    out = io.StringIO()
    write_rows(usage_rows(query.since, query.until, query.by), query.by, out, "csv")
    yield out.getvalue()


def tiles(days: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(title, figure, note)."""

    def total(name: str) -> float:
        return float(sum(getattr(day, name) for day in days))

    read, unpriced, estimated = total("input_tokens"), total("unpriced"), total("estimated")
    cached = f"{100 * total('cached_tokens') / read:.0f}\u202f% of it cached" if read else "none"
    return [
        ("Messages", number(total("messages")), f"{number(estimated)} with estimated numbers" if estimated else ""),
        ("Tokens read", number(read), cached),
        ("Tokens written", number(total("output_tokens")), f"{number(total('reasoning_tokens'))} of them reasoning"),
        ("Speech", f"{total('audio_seconds') / 3600:.1f}\u202fh", ""),
        (
            "Money",
            money(sum((day.cost for day in days), Decimal(0))),
            f"{number(unpriced)} without a price" if unpriced else "all priced",
        ),
    ]


def panels(query: ReportQuery, found: Sequence[tuple[date, str, int, Decimal]]) -> list[Panel]:
    """Tokens and money, a bar for each day or week, in the colours of the models that took the most."""
    tokens: defaultdict[tuple[date, str], Decimal] = defaultdict(Decimal)
    costs: defaultdict[tuple[date, str], Decimal] = defaultdict(Decimal)
    sums: defaultdict[str, int] = defaultdict(int)
    step = 1 if (query.until - query.since).days < MOST_BARS else 7
    for day, model, used, cost in found:
        first = query.since + timedelta(days=(day - query.since).days // step * step)
        tokens[first, model] += used
        costs[first, model] += cost
        sums[model] += used
    models = sorted(sums, key=lambda model: (-sums[model], model))
    named, others = models[:SERIES], models[SERIES:]
    legend = [model or NOTHING for model in named] + (["others"] if others else [])
    steps = [query.since + timedelta(days=at) for at in range(0, (query.until - query.since).days + 1, step)]
    every = "day" if step == 1 else "week"
    made = []
    for key, title, show, values in (
        ("tokens", f"Tokens a {every}", _tokens, tokens),
        ("money", f"Money a {every} ({settings.CURRENCY})", money, costs),
    ):
        columns, rows = [], []
        for first in steps:
            parts = [values[first, model] for model in named]
            if others:
                parts.append(sum((values[first, model] for model in others), Decimal(0)))
            columns.append(Column(f"{first:%d %b}: {show(sum(parts, Decimal(0)))}", tuple(map(float, parts))))
            rows.append([f"{first:%d %b %Y}", *(show(part) for part in parts)])
        chart = draw(columns)
        made.append(Panel(
            key, title, chart=chart, most=show(Decimal(chart.most)), legend=legend,
            span=(f"{steps[0]:%d %b %Y}", f"{query.until:%d %b %Y}"), head=["From", *legend], rows=rows,
        ))  # fmt: skip
    return made


def _tokens(value: Decimal) -> str:
    return number(float(value))


def _shown(row: Row, query: ReportQuery, request: HttpRequest) -> dict[str, Any]:
    href = ""
    if row.key and request.user.has_perm("accounts.view_user"):
        href = reverse("admin:accounts_user_change", args=[row.key])
    elif query.by == "day":
        href = f"{reverse('admin:accounts_dailyusage_changelist')}?day__exact={row.name}"
    cells = [row.messages, row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens]
    return {
        "name": row.name or NOTHING,
        "href": href,
        "cells": [*map(number, cells), f"{row.audio_seconds / 60:.0f}", money(row.cost), number(row.unpriced)],
    }

"""Staff's page of the speed of models: today against the usual, and each day of four weeks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_safe

from accounts.lib.charts import Column, draw
from accounts.lib.formatting import NOTHING, milliseconds, number
from chat.dashboard.cache import cache
from chat.dashboard.links import Links
from chat.dashboard.panels import TOO_SLOW_NOW, Panel
from chat.dashboard.speed import DAYS, ModelSpeed, Speed, read_speeds, today_of

PERMISSION: Final = "accounts.view_dashboard"
SECONDS: Final = 60.0  # that the figures are cached


@require_safe
def show_speed(request: HttpRequest) -> HttpResponseBase:
    """Query: `model`, whose charts are drawn; without it, the one with most answers today."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    speeds = cache.get("speeds", SECONDS, read_speeds)
    today, links = today_of(timezone.now()), Links(request)
    chosen = next((one for one in speeds or [] if one.model == request.GET.get("model")), None)
    chosen = chosen or (speeds[0] if speeds else None)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Speed of models"),
        "wrong": str(TOO_SLOW_NOW) if speeds is None else "",
        "rows": [_row(one, today, links, one is chosen) for one in speeds or []],
        "panels": _panels(chosen, today, links) if chosen else [],
    }
    return TemplateResponse(request, "admin/speed.html", context)


def _row(one: ModelSpeed, today: date, links: Links, chosen: bool) -> dict[str, Any]:
    usual = one.usual(today)
    runs = links.runs(timezone.now() - timedelta(days=1), model=one.model)
    return {
        "model": one.model,
        "href": f"{reverse('admin:speed')}?{urlencode({'model': one.model})}",
        "chosen": chosen,
        "slow": one.is_slow(today),
        "runs": runs,
        "answers": number(one.now.answers if one.now else 0),
        "first": _first(one.now),
        "first_usual": _first(usual),
        "slowest": milliseconds(round(one.now.first_ms_p95)) if one.now else NOTHING,
        "speed": _speed(one.now),
        "speed_usual": _speed(usual),
    }


def _first(speed: Speed | None) -> str:
    return milliseconds(round(speed.first_ms)) if speed else NOTHING


def _speed(speed: Speed | None) -> str:
    return NOTHING if speed is None or speed.speed is None else number(speed.speed)


def _panels(one: ModelSpeed, today: date, links: Links) -> list[Panel]:
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    return [
        _panel("first", gettext("Time to first token, median per day"),
               one, days, links, lambda speed: speed.first_ms, lambda value: milliseconds(round(value))),
        _panel("speed", gettext("Tokens per second, median per day"),
               one, days, links, lambda speed: speed.speed or 0.0, number),
    ]  # fmt: skip


def _panel(
    key: str, title: str, one: ModelSpeed, days: list[date], links: Links, value_of: Callable[[Speed], float],
    show: Callable[[float], str],
) -> Panel:  # fmt: skip
    columns, rows = [], []
    for day in days:
        found = one.days.get(day)
        value = value_of(found) if found else 0.0
        label, shown = date_format(day, "d M"), show(value) if found else NOTHING
        columns.append(Column(f"{label}: {shown}", (value,)))
        answers = ngettext("%(count)s answer", "%(count)s answers", found.answers if found else 0)
        rows.append([label, shown, answers % {"count": number(found.answers if found else 0)}])
    chart = draw(columns)
    span = (date_format(days[0], "d M"), gettext("today (UTC)"))
    return Panel(
        key, title, chart=chart, most=show(chart.most), span=span, legend=[one.model],
        head=[gettext("Day (UTC)"), gettext("Median"), gettext("Answers")], rows=rows,
    )  # fmt: skip

"""A person's own usage: what is left of their quotas, the last thirty days as bars, and which models it went to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.plans import Unit
from accounts.reports import Row, conversations_of, usage_rows
from accounts.standing import Left, quotas_left

DAYS: Final = 30
CONVERSATIONS: Final = 10  # that took the most
HEIGHT: Final = 100  # of the highest bar, in the drawing's units; a day is 10 wide
_UNITS: Final = {
    Unit.MESSAGES.value: _("messages"),
    Unit.INPUT_TOKENS.value: _("tokens read"),
    Unit.OUTPUT_TOKENS.value: _("tokens written"),
    Unit.MONEY.value: settings.CURRENCY,
    Unit.AUDIO_SECONDS.value: _("seconds of speech"),
}
_PERIODS: Final = {
    "hour": _("this hour"), "day": _("today"), "week": _("this week"), "month": _("this month"), "fixed": _("in all"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the drawing."""

    day: date
    tokens: int
    x: int
    height: int

    @property
    def y(self) -> int:
        return HEIGHT - self.height


def draw_bars(rows: list[Row], until: date) -> list[Bar]:
    """A bar for each of the `DAYS` days that end with `until`, high in proportion to its tokens."""
    tokens = {row.name: row.input_tokens + row.output_tokens for row in rows}
    days = [until - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    most = max((tokens.get(str(day), 0) for day in days), default=0)
    bars = []
    for place, day in enumerate(days):
        used = tokens.get(str(day), 0)
        height = max(round(HEIGHT * used / most), 1) if used else 0
        bars.append(Bar(day, used, place * 10, height))
    return bars


def _quota(left: Left) -> dict[str, Any]:
    shown = left.frame()
    return {
        **shown,
        "unit": _UNITS[left.unit],
        "period": _PERIODS[left.period],
        "renews_at": left.ends_at,
        "percent": min(int(100 * (left.used + left.reserved) / left.limit), 100) if left.limit else 100,
    }


@login_required
@require_safe
@never_cache
def show_usage(request: HttpRequest) -> HttpResponse:
    """One's quotas and usage of the last thirty days (UTC)."""
    assert isinstance(request.user, User)  # by login_required
    until = datetime.now(UTC).date()
    since = until - timedelta(days=DAYS - 1)
    models = usage_rows(since, until, "model", user_id=request.user.pk)
    days = usage_rows(since, until, "day", user_id=request.user.pk)
    context = {
        "quotas": [_quota(left) for left in quotas_left(request.user.pk)],
        "is_held": not request.user.is_staff,
        "bars": draw_bars(days, until),
        "since": since,
        "until": until,
        "rows": models,
        "conversations": conversations_of(request.user.pk, since, until, CONVERSATIONS),
        "cost": sum((row.cost for row in models), Decimal(0)),
        "unpriced": sum(row.unpriced for row in models),
        "estimated": sum(row.estimated for row in models),
        "currency": settings.CURRENCY,
    }
    return render(request, "account/usage.html", context)

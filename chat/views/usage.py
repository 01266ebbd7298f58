"""A user's own usage page: remaining quotas, and the last thirty days by day, model and conversation."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Unit, User
from accounts.quotas.balance import Left, quotas_left
from accounts.quotas.usage_report import DAYS, Row, draw_bars, usage_rows


@dataclass(frozen=True, slots=True)
class ConversationUsage:
    """`title` is empty for an untitled conversation, None for one that this user can no longer open."""

    id: str
    title: str | None
    row: Row


def conversations_of(user_id: uuid.UUID, since: date, until: date, most: int) -> list[ConversationUsage]:
    """The usage of a user's conversations, the most expensive first."""
    rows = [row for row in usage_rows(since, until, "conversation", user_id=user_id) if row.name != "–"][:most]
    with connection.cursor() as cursor:
        # The table is named here because titles are the only thing of conversations that this layer shows.
        cursor.execute(
            "SELECT c.id::text, title FROM chat_conversation c JOIN chat_member m ON m.conversation_id = c.id"
            " WHERE c.id = ANY(%s) AND m.user_id = %s AND deleted_at IS NULL",
            [[uuid.UUID(row.name) for row in rows], user_id],
        )
        titles: dict[str, str] = dict(cursor.fetchall())
    return [ConversationUsage(row.name, titles.get(row.name), row) for row in rows]


CONVERSATIONS: Final = 10  # listed
_UNITS: Final = {
    Unit.MESSAGES.value: _("messages"),
    Unit.INPUT_TOKENS.value: _("input tokens"),
    Unit.OUTPUT_TOKENS.value: _("output tokens"),
    Unit.MONEY.value: settings.CURRENCY,
    Unit.AUDIO_SECONDS.value: _("seconds of speech"),
}
_PERIODS: Final = {
    "hour": _("this hour"), "day": _("today"), "week": _("this week"), "month": _("this month"), "fixed": _("in total"),
}  # fmt: skip


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
    """The user's quotas, and their usage of the last thirty days (UTC)."""
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

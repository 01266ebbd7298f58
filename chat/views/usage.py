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
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.auth.requests import AuthenticatedRequest
from accounts.quotas.balance import Balance, user_balances
from accounts.quotas.usage_report import DAYS, Row, draw_days, usage_rows
from accounts.quotas.wording import left_sentence


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


def _quota(balance: Balance) -> dict[str, Any]:
    shown = balance.frame()
    return {
        **shown,
        "sentence": left_sentence(balance),
        "renews_at": balance.ends_at,
        "percent": min(int(100 * (balance.used + balance.reserved) / balance.limit), 100) if balance.limit else 100,
    }


@login_required
@require_safe
@never_cache
def show_usage(request: AuthenticatedRequest) -> HttpResponse:
    """The user's quotas, and their usage of the last thirty days (UTC)."""
    until = datetime.now(UTC).date()
    since = until - timedelta(days=DAYS - 1)
    models = usage_rows(since, until, "model", user_id=request.user.pk)
    days = usage_rows(since, until, "day", user_id=request.user.pk)
    context = {
        "quotas": [_quota(balance) for balance in user_balances(request.user.pk)],
        "is_held": not request.user.is_staff,
        "bars": draw_days(days, until),
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

"""Whose token it is, what they have used, and what is left of their quotas."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Schema

from accounts.models import User
from accounts.quotas.balance import user_balances
from accounts.quotas.usage_report import DAYS, usage_rows
from chat.api.errors import invalid
from chat.api.rest.access import USAGE, Token, access_of, user_id_of
from chat.api.rest.answers import answers
from chat.api.rest.schemas import Listed, MeOut, QuotaOut, UsageReportOut

MOST_DAYS: Final = 366
MOST_ROWS: Final = 1000

router = Router(tags=["account"])


class Span(Schema):
    since: date | None = None
    until: date | None = None
    by: Literal["day", "model", "conversation"] = "day"


@router.get("/me", auth=Token(None), response=answers(MeOut), summary="Whose token this is")
def read_me(request: HttpRequest) -> dict[str, Any]:
    """Any token may ask."""
    access = access_of(request)
    user = User.objects.get(pk=access.user_id)
    return {"id": user.pk, "name": user.display_name, "email": user.email, "scopes": sorted(access.scopes)}


@router.get("/usage", auth=USAGE, response=answers(UsageReportOut), summary="Read your usage")
def read_usage(request: HttpRequest, span: Query[Span]) -> dict[str, Any]:
    """The sums of the days from `since` to `until` (UTC, both included), the last thirty by default."""
    until = span.until or datetime.now(UTC).date()
    since = span.since or until - timedelta(days=DAYS - 1)
    if not 0 <= (until - since).days < MOST_DAYS:
        raise invalid(f"'since' must be before 'until', by at most {MOST_DAYS} days.", "since")
    rows = usage_rows(since, until, span.by, user_id=user_id_of(request), most=MOST_ROWS)
    return {
        "since": since, "until": until, "by": span.by, "currency": settings.CURRENCY,
        "data": [asdict(row) for row in rows],
    }  # fmt: skip


@router.get("/quotas", auth=USAGE, response=answers(Listed[QuotaOut]), summary="Read what is left of your quotas")
def read_quotas(request: HttpRequest) -> dict[str, Any]:
    return {"data": [balance.frame() for balance in user_balances(user_id_of(request))]}

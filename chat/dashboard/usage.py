"""Usage of a period: tokens and cost by model, and the users who used the most. One statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext

from accounts.lib.formatting import money, number
from chat.dashboard import queries
from chat.dashboard.links import Links
from chat.dashboard.panels import TOO_SLOW, Panel, Step, Tile, partial_note, price_note, usage_panels
from chat.dashboard.period import DAY, ChartPeriod, step_label

# Short periods are read from the usage entries, long ones from the sums of days (UTC).
_ENTRIES: Final = """
    SELECT floor(EXTRACT(EPOCH FROM at) / %(step)s)::bigint * %(step)s AS step, user_id, model, messages, input_tokens,
        output_tokens, COALESCE(cost, 0) AS cost, (cost IS NULL)::int AS unpriced
    FROM accounts_usageentry WHERE at >= %(since)s ORDER BY at DESC LIMIT %(max_rows)s
"""
_DAYS: Final = """
    SELECT EXTRACT(EPOCH FROM day)::bigint AS step, user_id, model, messages, input_tokens, output_tokens, cost,
        unpriced
    FROM accounts_dailyusage WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date ORDER BY day DESC LIMIT %(max_rows)s
"""
_USAGE: Final = """
WITH newest AS MATERIALIZED ({}), users AS (
    SELECT user_id, sum(messages) AS messages, sum(input_tokens) AS input, sum(output_tokens) AS output,
        sum(cost) AS cost FROM newest GROUP BY 1 ORDER BY 5 DESC, sum(input_tokens + output_tokens) DESC LIMIT %(top)s
)
SELECT (SELECT count(*) FROM newest), (SELECT min(step) FROM newest),
    (SELECT json_agg(json_build_array(step, model, input, output, cost::text, unpriced)) FROM (
        SELECT step, model, sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost) AS cost,
            sum(unpriced) AS unpriced FROM newest GROUP BY 1, 2) s),
    (SELECT json_agg(json_build_array(user_id, email, messages, input, output, cost::text))
        FROM users LEFT JOIN accounts_user u ON u.id = users.user_id)
"""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Tokens and cost of one model in one step (its first second since 1970)."""

    step: int
    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class TopUser:
    """`email` is None when the user has been erased, `id` when the usage belongs to no user."""

    id: str | None
    email: str | None
    messages: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage since `since`. Unless `complete`, only the newest rows were read, and `since` is the oldest of them."""

    since: datetime
    complete: bool
    models: list[ModelUsage]
    users: list[TopUser]


def read_usage(period: ChartPeriod, now: datetime | None = None) -> Usage | None:
    """None when the query took too long."""
    since = period.since(now or timezone.now(), period.usage_step)
    values = {"since": since, "max_rows": queries.MAX_ROWS, "step": period.usage_step, "top": queries.TOP}
    rows = queries.read_rows(_USAGE.format(_DAYS if period.usage_step == DAY else _ENTRIES), values)
    if rows is None:
        return None
    [(count, oldest, models, users)] = rows
    complete = count < queries.MAX_ROWS
    top = [TopUser(row[0], row[1], row[2], row[3], row[4], Decimal(row[5])) for row in users or []]
    top.sort(key=lambda one: (-one.cost, -(one.input_tokens + one.output_tokens), one.email or ""))
    return Usage(
        since=since if complete else datetime.fromtimestamp(oldest, UTC),
        complete=complete,
        models=[ModelUsage(int(row[0]), row[1], row[2], row[3], Decimal(row[4]), row[5]) for row in models or []],
        users=top,
    )


def usage_tiles(period: ChartPeriod, usage: Usage | None, links: Links) -> Iterable[Tile]:
    if usage is None:
        yield Tile(gettext("Tokens"), None, str(TOO_SLOW))
        yield Tile(gettext("Cost"), None, str(TOO_SLOW))
        return
    input_tokens = sum(one.input_tokens for one in usage.models)
    output_tokens = sum(one.output_tokens for one in usage.models)
    behind = links.list("accounts", "dailyusage" if period.usage_step == DAY else "usageentry")
    shown = {"input": number(input_tokens), "output": number(output_tokens)}
    note = gettext("%(input)s input, %(output)s output") % shown
    yield Tile(gettext("Tokens"), number(input_tokens + output_tokens), note, behind)
    cost = sum((one.cost for one in usage.models), Decimal(0))
    unpriced = sum(one.unpriced for one in usage.models)
    yield Tile(gettext("Cost"), money(cost), price_note(unpriced, is_used=bool(usage.models)), behind)


def period_usage_panels(period: ChartPeriod, usage: Usage | None, links: Links) -> list[Panel]:
    """The charts of tokens and cost by model."""
    if usage is None:
        wrong = str(TOO_SLOW)
        return [Panel("tokens", gettext("Tokens"), wrong=wrong), Panel("cost", gettext("Cost"), wrong=wrong)]
    by_day = period.usage_step == DAY
    steps = []
    for begin in period.steps(period.usage_step):
        day = {"day__exact": f"{datetime.fromtimestamp(begin, UTC):%Y-%m-%d}"}
        href = links.list("accounts", "dailyusage", **day) if by_day else ""
        steps.append(Step(begin, step_label(begin, period.usage_step), href))
    return usage_panels(
        ((one.step, one.model, one.input_tokens + one.output_tokens, one.cost) for one in usage.models),
        steps,
        note=partial_note(usage.complete, usage.since),
        span=(steps[0].label, gettext("now")),
        first_column=gettext("Day (UTC)") if by_day else gettext("From"),
        tokens_title=gettext("Tokens"),
        cost_title=gettext("Cost (%(currency)s)") % {"currency": settings.CURRENCY},
    )


def user_rows(usage: Usage | None, links: Links) -> list[dict[str, Any]]:
    """The users with the highest cost, then the most tokens."""
    return [
        {"name": one.email or (gettext("erased") if one.id else gettext("no user")), "messages": number(one.messages),
         "tokens": number(one.input_tokens + one.output_tokens), "cost": money(one.cost),
         "href": links.page("accounts", "user", one.id) if one.email else "",
         "runs": links.runs(usage.since, requested_by__exact=one.id) if one.email and one.id else ""}
        for one in usage.users
    ] if usage else []  # fmt: skip

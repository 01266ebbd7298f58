"""What the staff's dashboard shows, asked in four statements and one look at Redis.

However many rows there are, a statement reads no more than `NEWEST` of them, newest first by an index, and ends after
`PATIENCE_SECONDS`. What was not read or not reached is said (`whole`, `None`), never shown as a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.online import Online, count_online
from chat.jobs.worker_heartbeats import Heartbeat, living_workers, waiting_jobs

NEWEST: Final = 100_000
PATIENCE_SECONDS: Final = 3
TOP: Final = 10

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChartPeriod:
    """A time until now, in `count` steps of `step` seconds; usage in steps of `usage_step`. Steps begin at full ones
    since 1970 (UTC), and the last is the one that is still going on.
    """

    key: str
    title: str
    count: int
    step: int
    usage_step: int

    def since(self, now: datetime, step: int | None = None) -> datetime:
        """When its first step begins."""
        step = step or self.step
        first = int(now.timestamp()) // step * step - (self.count * self.step // step - 1) * step
        return datetime.fromtimestamp(first, UTC)


HOUR, DAY = 3600, 86400
PERIODS: Final = {
    one.key: one
    for one in (
        ChartPeriod("1h", "1 hour", 12, HOUR // 12, HOUR // 12),
        ChartPeriod("24h", "24 hours", 24, HOUR, HOUR),
        ChartPeriod("7d", "7 days", 28, DAY // 4, DAY),
        ChartPeriod("30d", "30 days", 30, DAY, DAY),
    )
}

# --- now -------------------------------------------------------------------------------------------------------------

_NOW: Final = """
SELECT (SELECT count(*) FROM chat_run WHERE status = 'running'),
       (SELECT count(*) FROM chat_run WHERE status = 'queued'),
       (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(enqueued_at)) FROM chat_run WHERE status = 'queued'),
       (SELECT count(*) FROM (SELECT FROM chat_run WHERE created_at > clock_timestamp() - interval '1 minute'
                              LIMIT %s) one),
       (SELECT count(*) FROM chat_recording WHERE status IN ('starting', 'listening'))
"""


@dataclass(frozen=True, slots=True)
class Now:
    """This moment in PostgreSQL. `waits`: seconds since the oldest queued run's job was published."""

    running: int
    queued: int
    waits: float | None
    last_minute: int
    recordings: int


@dataclass(frozen=True, slots=True)
class Around:
    """This moment in Redis. `jobs` is None where the broker is not our Redis."""

    online: Online
    workers: list[Heartbeat]
    jobs: int | None


def look_now() -> Now:
    with connection.cursor() as cursor:
        cursor.execute(_NOW, [NEWEST])
        running, queued, waits, last_minute, recordings = cursor.fetchone()
    return Now(running, queued, None if waits is None else float(waits), last_minute, recordings)


def look_around() -> Around | None:
    """None when Redis does not answer."""
    is_ours = settings.CELERY_BROKER_URL.startswith(("redis", "rediss", "unix"))
    try:
        return Around(count_online(), living_workers(), waiting_jobs() if is_ours else None)
    except (redis.RedisError, OSError, ValueError) as error:
        logger.warning("dashboard_without_redis", error=type(error).__name__)
        return None


# --- runs of a period ------------------------------------------------------------------------------------------------

_RUNS: Final = """
WITH newest AS MATERIALIZED (
    SELECT created_at, status, error_code, model, queued_ms, first_token_ms FROM chat_run
    WHERE created_at >= %(since)s ORDER BY created_at DESC LIMIT %(newest)s
)
SELECT (SELECT count(*) FROM newest), (SELECT min(created_at) FROM newest),
    (SELECT json_object_agg(status, n) FROM (SELECT status, count(*) AS n FROM newest GROUP BY 1) s),
    (SELECT json_agg(json_build_array(step, n, failed)) FROM (
        SELECT floor(EXTRACT(EPOCH FROM created_at) / %(step)s) * %(step)s AS step, count(*) AS n,
            count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed FROM newest GROUP BY 1) b),
    (SELECT json_agg(json_build_array(error_code, n)) FROM (
        SELECT error_code, count(*) AS n FROM newest WHERE status IN ('failed', 'interrupted')
        GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(top)s) c),
    (SELECT json_agg(json_build_array(model, n, failed, half, most)) FROM (
        SELECT model, count(*) AS n, count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY first_token_ms) AS half,
            percentile_disc(0.95) WITHIN GROUP (ORDER BY first_token_ms) AS most
        FROM newest GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(top)s) m),
    (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first_token_ms) FROM newest),
    (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY queued_ms) FROM newest)
"""


@dataclass(frozen=True, slots=True)
class ModelRuns:
    model: str
    runs: int
    failed: int
    first_p50: int | None
    first_p95: int | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs begun since `since`. Times in milliseconds; percentiles are (p50, p95), None when there are none.

    `steps`: (begun, failed or interrupted) by the second since 1970 at which a step begins.
    """

    since: datetime
    whole: bool  # else only the newest were read, and `since` is the oldest of them
    count: int
    statuses: dict[str, int]
    steps: dict[int, tuple[int, int]]
    causes: list[tuple[str, int]]
    models: list[ModelRuns]
    first_token: tuple[int, int] | None
    queued: tuple[int, int] | None

    @property
    def failed(self) -> int:
        return self.statuses.get("failed", 0) + self.statuses.get("interrupted", 0)


def runs_of(period: ChartPeriod, now: datetime | None = None) -> Runs | None:
    """None when it took too long."""
    since = period.since(now or timezone.now())
    row = _ask_patiently(_RUNS, {"since": since, "newest": NEWEST, "step": period.step, "top": TOP})
    if row is None:
        return None
    [(count, oldest, statuses, steps, causes, models, first_token, queued)] = row
    whole = count < NEWEST
    return Runs(
        since=since if whole else oldest,
        whole=whole,
        count=count,
        statuses=statuses or {},
        steps={int(step): (n, failed) for step, n, failed in steps or []},
        causes=[(code, n) for code, n in causes or []],
        models=[ModelRuns(*one) for one in models or []],
        first_token=_pair(first_token),
        queued=_pair(queued),
    )


def _pair(found: list[int] | None) -> tuple[int, int] | None:
    return None if not found or found[0] is None else (found[0], found[1])


# --- usage of a period -----------------------------------------------------------------------------------------------

# A short period from the entries themselves, a long one from the sums of days (UTC).
_ENTRIES: Final = """
    SELECT floor(EXTRACT(EPOCH FROM at) / %(step)s)::bigint * %(step)s AS step, user_id, model, messages, input_tokens,
        output_tokens, COALESCE(cost, 0) AS cost, (cost IS NULL)::int AS unpriced
    FROM accounts_usageentry WHERE at >= %(since)s ORDER BY at DESC LIMIT %(newest)s
"""
_DAYS: Final = """
    SELECT EXTRACT(EPOCH FROM day)::bigint AS step, user_id, model, messages, input_tokens, output_tokens, cost,
        unpriced
    FROM accounts_dailyusage WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date ORDER BY day DESC LIMIT %(newest)s
"""
_USAGE: Final = """
WITH newest AS MATERIALIZED ({}), people AS (
    SELECT user_id, sum(messages) AS messages, sum(input_tokens) AS input, sum(output_tokens) AS output,
        sum(cost) AS cost FROM newest GROUP BY 1 ORDER BY 5 DESC, sum(input_tokens + output_tokens) DESC LIMIT %(top)s
)
SELECT (SELECT count(*) FROM newest), (SELECT min(step) FROM newest),
    (SELECT json_agg(json_build_array(step, model, input, output, cost::text, unpriced)) FROM (
        SELECT step, model, sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost) AS cost,
            sum(unpriced) AS unpriced FROM newest GROUP BY 1, 2) s),
    (SELECT json_agg(json_build_array(user_id, email, messages, input, output, cost::text))
        FROM people LEFT JOIN accounts_user u ON u.id = people.user_id)
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money of one model in one step (its first second since 1970)."""

    step: int
    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class TopUser:
    """`email` is None when the person has been erased, `id` when nobody was noted."""

    id: str | None
    email: str | None
    messages: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    since: datetime
    whole: bool
    spent: list[Spent]
    users: list[TopUser]


def usage_of(period: ChartPeriod, now: datetime | None = None) -> Usage | None:
    """None when it took too long."""
    since = period.since(now or timezone.now(), period.usage_step)
    values = {"since": since, "newest": NEWEST, "step": period.usage_step, "top": TOP}
    row = _ask_patiently(_USAGE.format(_DAYS if period.usage_step == DAY else _ENTRIES), values)
    if row is None:
        return None
    [(count, oldest, spent, users)] = row
    whole = count < NEWEST
    people = [TopUser(row[0], row[1], row[2], row[3], row[4], Decimal(row[5])) for row in users or []]
    people.sort(key=lambda one: (-one.cost, -(one.input_tokens + one.output_tokens), one.email or ""))
    return Usage(
        since=since if whole else datetime.fromtimestamp(oldest, UTC),
        whole=whole,
        spent=[Spent(int(row[0]), row[1], row[2], row[3], Decimal(row[4]), row[5]) for row in spent or []],
        users=people,
    )


def _ask_patiently(query: str, values: dict[str, Any]) -> list[Any] | None:
    """The rows; None when it took longer than `PATIENCE_SECONDS`."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{PATIENCE_SECONDS}s"])
            cursor.execute(query, values)
            found = list(cursor.fetchall())
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")  # should a transaction go on
            return found
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "57014":  # query_canceled
            raise
        logger.warning("dashboard_took_too_long")
        return None

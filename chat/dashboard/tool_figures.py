"""Figures about tools: what runs and waits now, calls per day, and each tool's calls, failures and times.

One statement each over at most `MAX_ROWS` of the newest calls, by an index, with a time limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from chat.dashboard.queries import MAX_ROWS, read_rows
from chat.models import CallStatus, ToolCall
from chat.runs.tool_switch import tools_stopped

TOP: Final = 50  # tools
TOOL_GAUGES: Final = ("approvals_waiting", "calls_unknown", "tools_stopped")
UNKNOWN_HOURS: Final = 24
MOST_WAITING: Final = 10_000  # that are counted

_NOW: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM chat_toolcall WHERE status = 'waiting' LIMIT %(most)s) waiting),
    (SELECT min(created_at) FROM (SELECT created_at FROM chat_toolcall WHERE status = 'waiting' LIMIT %(most)s) w),
    count(*) FILTER (WHERE status = 'running'),
    count(*) FILTER (WHERE status = 'unknown' AND created_at >= %(day)s)
FROM (SELECT status, created_at FROM chat_toolcall ORDER BY created_at DESC LIMIT %(most)s) newest
"""

_NEWEST: Final = """
WITH newest AS MATERIALIZED (
    SELECT server, name, status, created_at, EXTRACT(EPOCH FROM ended_at - started_at) AS seconds, cost
    FROM chat_toolcall WHERE created_at >= %(since)s ORDER BY created_at DESC LIMIT %(max_rows)s
)"""

_BY_TOOL: Final = f"""{_NEWEST}
SELECT server, name, count(*), count(*) FILTER (WHERE status = 'ok'), count(*) FILTER (WHERE status = 'error'),
    count(*) FILTER (WHERE status = 'unknown'), count(*) FILTER (WHERE status = 'denied'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status IN ('ok', 'error')),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status IN ('ok', 'error')), sum(cost)
FROM newest GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(top)s
"""  # noqa: S608 -- constants

_BY_DAY: Final = f"""{_NEWEST}
SELECT (created_at AT TIME ZONE 'UTC')::date, server, name, count(*) FROM newest GROUP BY 1, 2, 3
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class ToolNow:
    """Of this moment; `unknown`: in the last 24 hours."""

    waiting: int
    oldest_wait: datetime | None
    running: int
    unknown: int


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """Since a day. A field is None where its query took too long.

    `tools`: server, name, calls, done, failed, unknown, denied, median seconds, seconds of the slowest 5 %, cost.
    """

    now: ToolNow | None
    days: Sequence[tuple[date, str, str, int]] | None
    tools: Sequence[tuple[Any, ...]] | None


def read_tool_figures(days: int) -> ToolFigures:
    """The figures of the last `days` days."""
    now = timezone.now()
    values: dict[str, Any] = {
        "since": now - timedelta(days=days), "day": now - timedelta(days=1), "max_rows": MAX_ROWS, "top": TOP,
        "most": MOST_WAITING,
    }  # fmt: skip
    state = read_rows(_NOW, values)
    return ToolFigures(
        ToolNow(*state[0]) if state else None, read_rows(_BY_DAY, values), read_rows(_BY_TOOL, values)
    )  # fmt: skip


def read_tool_gauges() -> dict[str, float]:
    """The gauges `TOOL_GAUGES`, from PostgreSQL."""
    since = timezone.now() - timedelta(hours=UNKNOWN_HOURS)
    unknown = ToolCall.objects.filter(status=CallStatus.UNKNOWN, created_at__gte=since)
    return {
        "approvals_waiting": float(ToolCall.objects.filter(status=CallStatus.WAITING).count()),
        "calls_unknown": float(unknown.count()),
        "tools_stopped": float(tools_stopped() is not None),
    }

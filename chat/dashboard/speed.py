"""Whether a model is slow today: its time to the first token and its speed in the last 24 hours, against the usual of
the days before. One statement.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Final

from django.utils import timezone

from chat.dashboard import queries

DAYS: Final = 28
SLOW: Final = 1.5  # times the usual, from which on a model counts as slow
FEWEST: Final = 5  # answers of the last 24 hours, below which nothing is said about them
FEWEST_TOKENS: Final = 20  # of an answer, for its speed to mean something

_SPEED: Final = """
WITH newest AS MATERIALIZED (
    SELECT model, created_at, first_token_ms, CASE WHEN total_ms > first_token_ms AND output_tokens >= %(tokens)s
        THEN output_tokens * 1000.0 / (total_ms - first_token_ms) END AS speed
    FROM chat_run WHERE created_at >= %(since)s AND first_token_ms IS NOT NULL AND attempt > 0
    ORDER BY created_at DESC LIMIT %(max_rows)s
)
SELECT model, NULL::date, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY first_token_ms),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY first_token_ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY speed)
FROM newest WHERE created_at >= %(recent)s GROUP BY 1
UNION ALL
SELECT model, (created_at AT TIME ZONE 'UTC')::date, count(*),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY first_token_ms),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY first_token_ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY speed)
FROM newest GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Speed:
    """Of some answers: medians and the 95th percentile of the time to the first token (ms), and output tokens a
    second. `speed` is None where no answer was long enough.
    """

    answers: int
    first_ms: float
    first_ms_p95: float
    speed: float | None


@dataclass(slots=True)
class ModelSpeed:
    """`now` is of the last 24 hours, None without answers; `days` by day (UTC), also of today."""

    model: str
    now: Speed | None = None
    days: dict[date, Speed] = field(default_factory=dict)

    def usual(self, today: date) -> Speed | None:
        """The median of the days before today; None without any."""
        before = [one for day, one in self.days.items() if day < today]
        if not before:
            return None
        speeds = [one.speed for one in before if one.speed is not None]
        return Speed(
            sum(one.answers for one in before),
            median(one.first_ms for one in before),
            median(one.first_ms_p95 for one in before),
            median(speeds) if speeds else None,
        )

    def is_slow(self, today: date) -> bool:
        usual = self.usual(today)
        if self.now is None or usual is None or self.now.answers < FEWEST:
            return False
        slower = usual.speed is not None and self.now.speed is not None and self.now.speed * SLOW < usual.speed
        return self.now.first_ms > SLOW * usual.first_ms or slower


def read_speeds(now: datetime | None = None) -> list[ModelSpeed] | None:
    """The models with answers in the last `DAYS` days, those with most of today first. None when it took too long."""
    now = now or timezone.now()
    values = {
        "since": (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0),
        "recent": now - timedelta(days=1), "max_rows": queries.MAX_ROWS, "tokens": FEWEST_TOKENS,
    }  # fmt: skip
    rows = queries.read_rows(_SPEED, values)
    if rows is None:
        return None
    found: defaultdict[str, ModelSpeed] = defaultdict(lambda: ModelSpeed(""))
    for model, day, count, first, slowest, speed in rows:
        one = found[model]
        one.model = model
        shown = Speed(count, float(first), float(slowest), None if speed is None else float(speed))
        if day is None:
            one.now = shown
        else:
            one.days[day] = shown
    return sorted(found.values(), key=lambda one: (-(one.now.answers if one.now else 0), one.model))


def today_of(now: datetime) -> date:
    return now.astimezone(UTC).date()

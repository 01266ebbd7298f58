"""Figures about moderation: what waits and for how long, what was found by which rule and where, who decided how much.

One statement each over at most `MAX_ROWS` of the newest cases, by an index, with a time limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from chat.dashboard.queries import MAX_ROWS, read_rows
from chat.review.decisions import CLAIM

MOST_WAITING: Final = 10_000  # that are looked at; more are "10 000 or more"
TOP: Final = 20

_WAITING: Final = """
WITH waiting AS MATERIALIZED (
    SELECT status, claimed_at, CASE WHEN appealed_at IS NULL THEN opened_at ELSE appealed_at END AS since
    FROM chat_moderationcase WHERE status <> 'decided' LIMIT %(most)s
)
SELECT count(*), count(*) FILTER (WHERE status = 'appealed'),
    count(*) FILTER (WHERE status = 'claimed' AND claimed_at < %(stale)s), min(since),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM %(now)s - since))
FROM waiting
"""

_UNJUDGED: Final = """
SELECT count(*), min(created_at) FROM (SELECT created_at FROM chat_unjudged LIMIT %(most)s) waiting
"""

_NEWEST: Final = """
WITH newest AS MATERIALIZED (
    SELECT id, rules, category, person_id, opened_at, decided_at, status, appealed_at
    FROM chat_moderationcase WHERE opened_at >= %(since)s ORDER BY opened_at DESC LIMIT %(max_rows)s
)"""

_BY_RULE: Final = f"""{_NEWEST}, found AS (
    SELECT DISTINCT n.id, COALESCE(r ->> 'name', r ->> 'judge', '') AS name
    FROM newest n CROSS JOIN LATERAL jsonb_array_elements(n.rules) r
), last AS (
    SELECT n.id,
        bool_or(d.kind <> 'release') FILTER (WHERE d.decided_at >= COALESCE(n.appealed_at, n.opened_at)) AS hit
    FROM newest n JOIN chat_moderationdecision d ON d.case_id = n.id WHERE n.status = 'decided' GROUP BY n.id
)
SELECT name, count(*), count(hit), count(*) FILTER (WHERE hit)
FROM found LEFT JOIN last USING (id) WHERE name <> '' GROUP BY name ORDER BY 2 DESC, 1 LIMIT %(top)s
"""  # noqa: S608 -- constants

_BY_CATEGORY: Final = f"{_NEWEST} SELECT category, count(*) FROM newest GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 -- constants

_BY_GROUP: Final = f"""{_NEWEST}
SELECT COALESCE(g.name, ''), count(*) FROM newest n
LEFT JOIN accounts_user_groups ug ON ug.user_id = n.person_id LEFT JOIN auth_group g ON g.id = ug.group_id
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(top)s
"""  # noqa: S608 -- constants

_BY_DAY: Final = f"""{_NEWEST}
SELECT (opened_at AT TIME ZONE 'UTC')::date, category, count(*) FROM newest GROUP BY 1, 2
"""  # noqa: S608 -- constants

_BY_REVIEWER: Final = """
WITH made AS MATERIALIZED (
    SELECT DISTINCT ON (d.case_id, d.decided_by_id) d.decided_by_id, d.decided_at,
        CASE WHEN c.appealed_at <= d.decided_at THEN c.appealed_at ELSE c.opened_at END AS since
    FROM chat_moderationdecision d JOIN chat_moderationcase c ON c.id = d.case_id
    WHERE d.decided_by_id IS NOT NULL AND c.status IN ('decided', 'appealed', 'claimed') AND d.decided_at >= %(since)s
    ORDER BY d.case_id, d.decided_by_id, d.decided_at DESC LIMIT %(max_rows)s
), claims AS (
    SELECT claimed_by_id, count(*) AS held, count(*) FILTER (WHERE claimed_at < %(stale)s) AS stale
    FROM chat_moderationcase WHERE status = 'claimed' GROUP BY 1
), reviewers AS (
    SELECT decided_by_id AS id, count(*) AS decided,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - since)) AS median
    FROM made GROUP BY 1
)
SELECT u.email, COALESCE(r.decided, 0), r.median, COALESCE(c.held, 0), COALESCE(c.stale, 0)
FROM reviewers r FULL JOIN claims c ON c.claimed_by_id = r.id
JOIN accounts_user u ON u.id = COALESCE(r.id, c.claimed_by_id)
ORDER BY 2 DESC, 1 LIMIT %(top)s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The cases that are not decided; `median` in seconds. `oldest` is when the first of them began to wait."""

    count: int
    appealed: int
    stale: int
    oldest: datetime | None
    median: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Since a day. A field is None where its query took too long."""

    waiting: Waiting | None
    rules: Sequence[tuple[str, int, int, int]] | None  # name, cases, decided, judged right
    categories: Sequence[tuple[str, int]] | None
    groups: Sequence[tuple[str, int]] | None  # "" is nobody's group; a person in several groups counts in each
    days: Sequence[tuple[date, str, int]] | None
    reviewers: Sequence[tuple[str, int, float | None, int, int]] | None  # email, decided, median seconds, held, stale
    unjudged: tuple[int, datetime | None] | None = None  # texts that wait for a judge, and since when the first of them


def read_figures(days: int) -> Figures:
    """The figures of the last `days` days."""
    now = timezone.now()
    values: dict[str, Any] = {
        "now": now, "since": now - timedelta(days=days), "stale": now - CLAIM, "max_rows": MAX_ROWS, "top": TOP,
        "most": MOST_WAITING,
    }  # fmt: skip
    waiting, unjudged = read_rows(_WAITING, values), read_rows(_UNJUDGED, values)
    figures = Figures(
        Waiting(*waiting[0]) if waiting else None,
        *(read_rows(query, values) for query in (_BY_RULE, _BY_CATEGORY, _BY_GROUP, _BY_DAY, _BY_REVIEWER)),  # type: ignore[arg-type]  # rows as their queries select them
    )
    return replace(figures, unjudged=(unjudged[0][0], unjudged[0][1])) if unjudged else figures

"""In which order queued runs have their turn while more are asked for than workers take: fairly between users.

A user's first waiting run comes before anybody's second one; those that were in progress while the oldest one waited
count as well, so that nobody has two turns before somebody's first one. Among equals the older one is first.

Runs of conversations that nobody follows come after all others, for their first `UNWATCHED_SECONDS`. After those they
have their turn as if somebody did, so that a busy site writes them, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from django.db import connection

from chat.models.statuses import ANY_JOB

UNWATCHED_SECONDS: Final = 120.0

# Any job may claim what is `free`. Of others (released by a reviewer, taken up by another attempt, continuing an
# answer) events are appended first, and then they are offered to any job (`chat.jobs.dispatch`).
_RANKED: Final = f"""
WITH queued AS MATERIALIZED (
    SELECT r.id, r.conversation_id, r.message_id, r.requested_by_id, r.created_at,
        r.attempt = 0 AND r.step_count = 0 AND r.part = 1 AND r.enqueued_at IS NOT NULL OR r.lease_owner = '{ANY_JOB}'
            AS free
    FROM chat_run r WHERE r.status = 'queued'
), since AS MATERIALIZED (
    SELECT min(created_at) AS oldest FROM queued
), served AS MATERIALIZED (
    SELECT u.requested_by_id, count(r.id) AS runs
    FROM (SELECT DISTINCT requested_by_id FROM queued) u CROSS JOIN since
    LEFT JOIN chat_run r ON r.requested_by_id = u.requested_by_id
        AND r.created_at > since.oldest - interval '10 minutes' AND r.started_at IS NOT NULL
        AND (r.status = 'running' OR r.finished_at >= since.oldest)
    GROUP BY u.requested_by_id
), ranked AS (
    SELECT q.*, s.runs + row_number() OVER (PARTITION BY q.requested_by_id ORDER BY q.created_at) AS turn
    FROM queued q JOIN served s ON s.requested_by_id IS NOT DISTINCT FROM q.requested_by_id
)
"""  # noqa: S608 -- a constant
_WAITING: Final = f"""
{_RANKED}
SELECT id, conversation_id, message_id, EXTRACT(EPOCH FROM clock_timestamp() - created_at)::float FROM ranked
WHERE {{}} ORDER BY turn, created_at LIMIT %s
"""  # noqa: S608 -- constants
_FREE: Final = _WAITING.format("free")
_ALL: Final = _WAITING.format("true")
_ANY_WAITING: Final = (
    "SELECT EXISTS (SELECT FROM chat_run WHERE status = 'queued'"
    " AND created_at < clock_timestamp() - make_interval(secs => %s))"
)
_PASSED: Final = "UPDATE chat_run SET enqueued_at = clock_timestamp() WHERE id = %s AND status = 'queued'"


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A queued run, and for how many seconds it has waited."""

    run_id: uuid.UUID
    conversation_id: uuid.UUID
    message_id: uuid.UUID
    seconds: float


def next_runs(limit: int) -> list[WaitingRun]:
    """The queued runs that any job may claim, in the order of their turn, whether watched or not."""
    with connection.cursor() as cursor:
        cursor.execute(_FREE, [limit])
        return [WaitingRun(*row) for row in cursor.fetchall()]


def waiting_runs(seconds: float) -> list[WaitingRun]:
    """All queued runs in the order of their turn, whether watched or not; none if no run has waited for so many
    seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ANY_WAITING, [seconds])  # nearly never, and the other statement takes long to plan
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(_ALL, [None])
        return [WaitingRun(*row) for row in cursor.fetchall()]


def watched_first(runs: Iterable[WaitingRun], unwatched: Container[uuid.UUID]) -> list[WaitingRun]:
    """`runs`, which are in the order of their turn, with those that nobody waits for behind the others. `unwatched`
    has the ids of conversations that nobody follows.
    """
    return sorted(runs, key=lambda run: run.seconds < UNWATCHED_SECONDS and run.conversation_id in unwatched)


def note_passed(run_id: uuid.UUID) -> None:
    """Another run was claimed with this one's job. That one's job is still to come, so this one's is not lost: it
    counts as published now (`chat.runs.overdue`).
    """
    with connection.cursor() as cursor:
        cursor.execute(_PASSED, [run_id])

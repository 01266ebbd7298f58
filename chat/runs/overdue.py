"""Finds runs with expired leases, lost jobs or missing closing events."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db import connection

from chat.models import Run
from chat.runs.context import log_context_of
from chat.runs.ending import Ended, ended_of

_EXPIRED: Final = """
SELECT r.id, r.conversation_id, r.attempt, r.checkpoint_epoch, r.checkpoint_seq, m.text,
       r.stop_requested_at IS NOT NULL, r.requested_by_id, r.trace_id
FROM chat_run r JOIN chat_message m ON m.id = r.message_id
WHERE r.status = 'running' AND r.lease_expires_at < clock_timestamp()
ORDER BY r.lease_expires_at LIMIT %s FOR UPDATE OF r SKIP LOCKED
"""

_LOST_JOBS: Final = """
UPDATE chat_run SET enqueued_at = clock_timestamp() WHERE id IN (
    SELECT id FROM chat_run WHERE status = 'queued' AND (
        enqueued_at < clock_timestamp() - make_interval(secs => %(stale)s)
        OR enqueued_at < clock_timestamp() - make_interval(secs => %(soon)s) AND (
            %(oldest)s::uuid IS NULL OR enqueued_at < (SELECT enqueued_at FROM chat_run WHERE id = %(oldest)s)))
    ORDER BY enqueued_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""

_UNCLOSED: Final = """
SELECT id FROM chat_run WHERE NOT ended_in_log AND finished_at < clock_timestamp() - make_interval(secs => %s)
ORDER BY finished_at LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Expired:
    """A run whose worker has not renewed its lease. `text` is the last checkpoint."""

    run_id: uuid.UUID
    conversation_id: uuid.UUID
    attempt: int
    epoch: str
    seq: int
    text: str
    stop_requested: bool
    user_id: uuid.UUID | None
    trace_id: str

    def log_context(self) -> dict[str, str]:
        """What every log line about it says."""
        return log_context_of(self.run_id, self.conversation_id, self.user_id, self.trace_id)


def expired_runs(limit: int = 50) -> list[Expired]:
    """Runs whose lease is over by the database's clock, for the reaper. Not taken: `end_run` and `requeue` check."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRED, [limit])
        return [Expired(*row) for row in cursor.fetchall()]


def lost_jobs(soon: float, stale: float, oldest: uuid.UUID | None, limit: int = 100) -> list[uuid.UUID]:
    """Queued runs whose job was last published more than `soon` seconds ago and before that of the run `oldest`, which
    is taken next (None: none waits), or more than `stale` seconds ago; marked as published now.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOST_JOBS, {"soon": soon, "stale": stale, "oldest": oldest, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def unclosed_runs(older_than: float, limit: int = 100) -> list[Ended]:
    """Ended runs whose closing event has not reached the log for `older_than` seconds."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCLOSED, [older_than, limit])
        ids = [row[0] for row in cursor.fetchall()]
    runs = Run.objects.select_related("message").filter(pk__in=ids)
    return [ended_of(run, run.message) for run in runs]

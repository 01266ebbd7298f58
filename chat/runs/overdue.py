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
        """The fields of every log line about it."""
        return log_context_of(self.run_id, self.conversation_id, self.user_id, self.trace_id)


def expired_runs(limit: int = 50) -> list[Expired]:
    """Runs whose lease has expired by the database's clock. Not locked: `end_run` and `requeue` check again."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRED, [limit])
        return [Expired(*row) for row in cursor.fetchall()]


def lost_jobs(soon: float, stale: float, oldest: uuid.UUID | None, limit: int = 100) -> list[uuid.UUID]:
    """Marks queued runs as published now whose job is presumed lost, and returns their ids.

    That is a job published more than `stale` seconds ago, or more than `soon` seconds ago and before the job of the run
    `oldest`, the next one in the queue (None: the queue is empty).
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOST_JOBS, {"soon": soon, "stale": stale, "oldest": oldest, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def unclosed_runs(older_than: float, limit: int = 100) -> list[Ended]:
    """Runs that ended more than `older_than` seconds ago and whose closing event is not in the log."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCLOSED, [older_than, limit])
        ids = [row[0] for row in cursor.fetchall()]
    runs = Run.objects.select_related("message").filter(pk__in=ids)
    return [ended_of(run, run.message) for run in runs]

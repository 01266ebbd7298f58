"""Finds runs with expired leases, lost jobs or missing closing events."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction

from chat.models import Run
from chat.runs.context import log_context_of
from chat.runs.ending import Ended, ended_of

_ANY_EXPIRED: Final = """
SELECT EXISTS (SELECT FROM chat_run WHERE status = 'running' AND lease_expires_at < clock_timestamp())
"""

# The locks that are needed to end a run. Who waits for them must not be the first to act when they are free.
_LOCK_TABLES: Final = "LOCK TABLE chat_run, chat_message IN ROW EXCLUSIVE MODE"

_TAKE: Final = """
UPDATE chat_run SET lease_owner = %s, lease_expires_at = clock_timestamp() + make_interval(secs => %s)
WHERE id IN (
    SELECT r.id FROM chat_run r JOIN chat_message m ON m.id = r.message_id
    WHERE r.status = 'running' AND r.lease_expires_at < clock_timestamp()
    ORDER BY r.lease_expires_at LIMIT %s FOR NO KEY UPDATE OF r, m SKIP LOCKED
) RETURNING id
"""

# A statement of its own: the texts must be at least as new as the checkpoints of the rows that were locked.
_TAKEN: Final = """
SELECT r.id, r.conversation_id, r.attempt, r.checkpoint_epoch, r.checkpoint_seq, m.text, COALESCE(t.text, ''),
       r.stop_requested_at IS NOT NULL, r.requested_by_id, r.trace_id, r.base_chars, r.step_count
FROM chat_run r JOIN chat_message m ON m.id = r.message_id LEFT JOIN chat_reasoning t ON t.run_id = r.id
WHERE r.id = ANY(%s) ORDER BY r.created_at
"""

_GIVE_UP: Final = """
UPDATE chat_run SET lease_expires_at = clock_timestamp() - interval '1 millisecond'
WHERE id = %s AND lease_owner = %s AND status = 'running'
"""

# A run waits at least `soon` seconds. Its job is lost if the queue is empty or has passed it. Where the order of the
# queue is not known, a run of a later message that was claimed shows that it has passed; and a run that nobody claims
# is published again after twice the time each, so that even a long queue gets few jobs twice.
_LOST_JOBS: Final = """
UPDATE chat_run SET enqueued_at = clock_timestamp() WHERE id IN (
    SELECT id FROM chat_run r WHERE status = 'queued' AND (
        enqueued_at IS NULL OR enqueued_at < clock_timestamp() - make_interval(secs => %(soon)s) AND (
            %(empty)s
            OR enqueued_at < clock_timestamp() - make_interval(secs => %(stale)s)
            OR enqueued_at < (SELECT enqueued_at FROM chat_run WHERE id = %(oldest)s)
            OR %(oldest)s::uuid IS NULL AND (
                enqueued_at < clock_timestamp() - (enqueued_at - created_at)
                OR attempt = 0 AND enqueued_at < created_at + interval '1 second' AND created_at < (
                    SELECT max(created_at) FROM chat_run WHERE status = 'running' AND attempt = 1
                ) - interval '1 second')))
    ORDER BY enqueued_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""

_UNPUBLISHED: Final = "UPDATE chat_run SET enqueued_at = created_at WHERE id = ANY(%s) AND status = 'queued'"

_UNCLOSED: Final = """
SELECT id FROM chat_run WHERE NOT ended_in_log AND finished_at < clock_timestamp() - make_interval(secs => %s)
ORDER BY finished_at LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Expired:
    """A run whose worker has not renewed its lease. `text` and `reasoning` are of the last checkpoint; the first
    `base_chars` code points of the text were there before this run. A run with steps can go on after the last one.
    """

    run_id: uuid.UUID
    conversation_id: uuid.UUID
    attempt: int
    epoch: str
    seq: int
    text: str
    reasoning: str
    stop_requested: bool
    user_id: uuid.UUID | None
    trace_id: str
    base_chars: int
    step_count: int = 0

    @property
    def has_shown(self) -> bool:
        """Whether the checkpoint has anything that this run itself wrote."""
        return len(self.text) > self.base_chars or bool(self.reasoning) or self.step_count > 0

    def log_context(self) -> dict[str, str]:
        """The fields of every log line about it."""
        return log_context_of(self.run_id, self.conversation_id, self.user_id, self.trace_id)


def any_expired() -> bool:
    """Whether a run's lease has expired by the database's clock. If one has, waits until the tables can be written;
    raises `OperationalError` if they are locked for longer than the lock timeout.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ANY_EXPIRED)
        found = bool(cursor.fetchone()[0])
        if found:
            cursor.execute(_LOCK_TABLES)
        return found


def take_expired(owner: str, seconds: float, limit: int = 50) -> list[Expired]:
    """Takes the leases of runs that have expired, for `seconds`: from now on their workers can write nothing to
    PostgreSQL. Runs whose row, or whose message's row, somebody has locked are left for the next time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TAKE, [owner, seconds, limit])
        cursor.execute(_TAKEN, [[row[0] for row in cursor.fetchall()]])
        return [Expired(*row) for row in cursor.fetchall()]


def give_up(run_id: uuid.UUID, owner: str) -> None:
    """Lets a lease that `take_expired` took expire now, so that any process can take it."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, [run_id, owner])


def lost_jobs(
    soon: float, stale: float, *, empty: bool, oldest: uuid.UUID | None = None, limit: int = 100
) -> list[uuid.UUID]:
    """Marks queued runs as published now whose job is presumed lost, and returns their ids.

    `soon`, `stale`: seconds since the job was published, before which it is never and after which it always is
    presumed lost. `empty`: no job waits in the broker. `oldest`: the run whose job is next, where the broker says so.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOST_JOBS, {"soon": soon, "stale": stale, "empty": empty, "oldest": oldest, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def note_unpublished(run_ids: Sequence[uuid.UUID]) -> None:
    """The broker has not got the jobs of these runs: the sweeper publishes them in its next round."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPUBLISHED, [list(run_ids)])


def unclosed_runs(older_than: float, limit: int = 100) -> list[Ended]:
    """Runs that ended more than `older_than` seconds ago and whose closing event is not in the log."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCLOSED, [older_than, limit])
        ids = [row[0] for row in cursor.fetchall()]
    runs = Run.objects.select_related("message").filter(pk__in=ids)
    return [ended_of(run, run.message) for run in runs]

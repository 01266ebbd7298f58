"""Claims, renews, checkpoints and requeues runs in PostgreSQL. Sync; each function is one transaction.

A claim starts an attempt and a lease, by the database's clock. Every write of a worker names its attempt and its owner,
so a worker that has lost its lease (paused, disconnected, presumed dead) can change nothing any more: it is fenced.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from chat.eventlog import events
from chat.models import Message, MessageStatus, Run, RunStatus
from chat.runs.context import ClaimedRun, read_branch

MAX_ATTEMPTS: Final = 3

_CLAIM: Final = """
WITH claimed AS (
    UPDATE chat_run SET status = 'running', attempt = attempt + 1, lease_owner = %s,
           lease_expires_at = clock_timestamp() + make_interval(secs => %s),
           started_at = COALESCE(started_at, clock_timestamp()), checkpoint_epoch = '', checkpoint_seq = 0,
           queued_ms = COALESCE(queued_ms, -- at least 0: the clock may have been set back
               GREATEST((EXTRACT(EPOCH FROM clock_timestamp() - created_at) * 1000)::int, 0))
    WHERE id = %s AND status = 'queued'
    RETURNING id, conversation_id, prompt_id, message_id, model, attempt, queued_ms, requested_by_id, trace_id
)
SELECT claimed.*, c.system_prompt, c.temperature, c.max_tokens
FROM claimed JOIN chat_conversation c ON c.id = conversation_id
"""

_RENEW: Final = """
UPDATE chat_run SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
WHERE id = ANY(%s) AND lease_owner = %s AND status = 'running'
RETURNING id, attempt, stop_requested_at IS NOT NULL
"""

_CHECKPOINT: Final = """
WITH held AS (
    UPDATE chat_run SET checkpoint_epoch = %s, checkpoint_seq = %s, endpoint = %s
    WHERE id = %s AND attempt = %s AND lease_owner = %s AND status = 'running'
    RETURNING message_id
)
UPDATE chat_message SET text = %s, status = 'streaming' FROM held WHERE chat_message.id = held.message_id
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run this worker has claimed, and what it needs to answer. `path` is (role, text), oldest first."""

    run: ClaimedRun
    system_prompt: str
    path: list[tuple[str, str]]
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was renewed."""

    run_id: uuid.UUID
    attempt: int
    stop_requested: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole text of an answer so far, and the position in the event log up to which it is exactly that text."""

    run_id: uuid.UUID
    attempt: int
    epoch: str
    seq: int
    text: str
    endpoint: str = ""


def claim(run_id: uuid.UUID, owner: str) -> Claim | None:
    """Claims a queued run. None if another worker has it or it has ended: the job was delivered twice."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [owner, settings.RUN_LEASE_SECONDS, run_id])
        row = cursor.fetchone()
        if row is None:
            return None
        *fields, system_prompt, temperature, max_tokens = row
    run = ClaimedRun(*fields)
    prompt = system_prompt or settings.SYSTEM_PROMPT
    return Claim(run, prompt, read_branch(run.prompt_id), temperature, max_tokens)


def renew(run_ids: Sequence[uuid.UUID], owner: str) -> list[Lease]:
    """Renews the leases this worker still has. The lease of a run that is not returned is lost."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [settings.RUN_LEASE_SECONDS, list(run_ids), owner])
        return [Lease(*row) for row in cursor.fetchall()]


def checkpoint(points: Sequence[Checkpoint], owner: str) -> None:
    """Stores texts so far, in one round trip. Runs whose lease this worker has lost are not changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        rows = [(p.epoch, p.seq, p.endpoint, p.run_id, p.attempt, owner, p.text.replace("\x00", "")) for p in points]
        cursor.executemany(_CHECKPOINT, rows)


def requeue(run_id: uuid.UUID, attempt: int, *, owner: str | None = None) -> list[events.Event] | None:
    """Queues a run that has shown nothing for the next worker; returns the events that announce it.

    The `owner` may do so at shutdown; without an `owner` the lease must have expired. Otherwise returns None.
    """
    with transaction.atomic():
        found = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING)
        run = (found.filter(lease_owner=owner) if owner else found.filter(lease_expires_at__lt=Now())).first()
        if run is None:
            return None
        superseded = events.run_superseded(run, 0)
        run.status = RunStatus.QUEUED
        run.lease_owner, run.lease_expires_at = "", None
        run.enqueued_at = Now()
        run.save(update_fields=["status", "lease_owner", "lease_expires_at", "enqueued_at"])
        Message.objects.filter(pk=run.message_id).update(text="", status=MessageStatus.PENDING)
        return [superseded, events.run_queued(run, attempt=attempt + 1)]

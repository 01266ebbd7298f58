"""The life of a run in PostgreSQL: claim → renew and checkpoint → end. Sync; each function is one transaction.

A claim counts an attempt and gives a lease by the database's clock. Every write of a worker carries its attempt and
its name, so one that lost its lease (paused, cut off, presumed dead) changes nothing any more: it is fenced.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.standing import Left
from accounts.usage import Used, settle_run
from chat import events
from chat.heard import keep_what_was_heard
from chat.models import ACTIVE, Conversation, Message, MessageStatus, Run, RunStatus

MAX_ATTEMPTS: Final = 3
TERMINAL_NUMBER: Final = (
    1_000_000_000  # of an attempt's closing append, so that any process may make it, once (chat.log)
)
CONTEXT_MESSAGES: Final = 400  # of a branch, at the most, are read for the model
CHARACTERS_OF_A_LOST_TOKEN: Final = 4  # about, in what was read and written by a worker that was lost
CHARACTERS_PER_TOKEN: Final = 6  # more than any usual text has, so that the budget's trimming decides

_CLAIM: Final = """
WITH claimed AS (
    UPDATE chat_run SET status = 'running', attempt = attempt + 1, lease_owner = %s,
           lease_expires_at = clock_timestamp() + make_interval(secs => %s),
           started_at = COALESCE(started_at, clock_timestamp()), checkpoint_epoch = '', checkpoint_seq = 0,
           queued_ms = COALESCE(queued_ms, -- not less than none: the clock may have been set back
               GREATEST((EXTRACT(EPOCH FROM clock_timestamp() - created_at) * 1000)::int, 0))
    WHERE id = %s AND status = 'queued'
    RETURNING id, conversation_id, prompt_id, message_id, model, attempt, queued_ms, requested_by_id, trace_id
)
SELECT claimed.*, c.system_prompt, c.temperature, c.max_tokens
FROM claimed JOIN chat_conversation c ON c.id = conversation_id
"""

# Newest first, until so many messages or characters: more than any context takes is not read.
_CONTEXT: Final = """
WITH RECURSIVE path(parent_id, role, text, depth, size) AS (
    SELECT parent_id, role, text, 0, length(text) FROM chat_message WHERE id = %s
    UNION ALL
    SELECT m.parent_id, m.role, m.text, depth + 1, size + length(m.text)
    FROM path JOIN chat_message m ON m.id = path.parent_id WHERE depth < %s AND size < %s
)
SELECT role, text FROM path WHERE role = 'user' OR text <> '' ORDER BY depth DESC
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


def context_of(run: uuid.UUID, conversation: uuid.UUID, user: uuid.UUID | None, trace: str) -> dict[str, str]:
    """The names by which log lines about a run are found; empty ones are left out."""
    found = {"run": run, "conversation": conversation, "user": user, "trace": trace}
    return {name: str(value) for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Held:
    """A run as its worker knows it."""

    id: uuid.UUID
    conversation_id: uuid.UUID
    prompt_id: uuid.UUID
    message_id: uuid.UUID
    model: str
    attempt: int
    queued_ms: int
    user_id: uuid.UUID | None  # who asked
    trace_id: str

    def log_context(self) -> dict[str, str]:
        """What every log line about it says."""
        return context_of(self.id, self.conversation_id, self.user_id, self.trace_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A run this worker holds, and what it needs to answer. `path` is (role, text), oldest first."""

    run: Held
    system_prompt: str
    path: list[tuple[str, str]]
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    run_id: uuid.UUID
    attempt: int
    stop_requested: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole text of an answer so far, and the place in the log that it covers exactly."""

    run_id: uuid.UUID
    attempt: int
    epoch: str
    seq: int
    text: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a run at its end. Times in milliseconds."""

    text: str
    html: str = ""
    error_code: str = ""
    error_message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0  # of the input
    reasoning_tokens: int = 0  # of the output
    usage_estimated: bool = False
    endpoint: str = ""  # host of the one that answered, or was asked last
    first_token_ms: int | None = None
    total_ms: int | None = None


def claim(run_id: uuid.UUID, owner: str) -> Claim | None:
    """Takes a queued run, or None when somebody else has it or it has ended: the job was delivered twice."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [owner, settings.RUN_LEASE_SECONDS, run_id])
        row = cursor.fetchone()
        if row is None:
            return None
        *fields, system_prompt, temperature, max_tokens = row
    held = Held(*fields)
    prompt = system_prompt or settings.SYSTEM_PROMPT
    return Claim(held, prompt, _context_of(held.prompt_id), temperature, max_tokens)


def _context_of(prompt_id: uuid.UUID) -> list[tuple[str, str]]:
    """(role, text) of the branch that a question ends, oldest first, as far back as any context reaches."""
    characters = settings.MODEL_CONTEXT_TOKENS * CHARACTERS_PER_TOKEN
    with connection.cursor() as cursor:
        cursor.execute(_CONTEXT, [prompt_id, CONTEXT_MESSAGES, characters])
        return [(role, text) for role, text in cursor.fetchall()]


def renew(run_ids: Sequence[uuid.UUID], owner: str) -> list[Lease]:
    """Renews what this worker still holds; a run that is missing from the answer is lost."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [settings.RUN_LEASE_SECONDS, list(run_ids), owner])
        return [Lease(*row) for row in cursor.fetchall()]


def checkpoint(points: Sequence[Checkpoint], owner: str) -> None:
    """Stores texts so far, in one round trip. What is fenced is left alone."""
    with transaction.atomic(), connection.cursor() as cursor:
        rows = [(p.epoch, p.seq, p.endpoint, p.run_id, p.attempt, owner, p.text.replace("\x00", "")) for p in points]
        cursor.executemany(_CHECKPOINT, rows)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has just ended, and its closing event, to be appended under its attempt and `TERMINAL_NUMBER`;
    after it, under the next number, what is `kept` of an answer that somebody talked over.
    """

    conversation_id: uuid.UUID
    run_id: uuid.UUID
    attempt: int
    event: events.Event
    silent: bool  # it ended without a word, so nobody loses anything by being told of the message again
    user_id: uuid.UUID | None = None
    near: Sequence[Left] = ()  # quotas the user is near the end of, with this run
    kept: events.Event | None = None
    whole: bool = True  # the log has all of the answer's text
    used: Used | None = None  # what it is billed with, when it has ended just now
    cost: Decimal | None = None


def end_run(
    run_id: uuid.UUID,
    attempt: int,
    status: RunStatus,
    ending: Ending | None = None,
    *,
    owner: str | None = None,
    expired: bool = False,
) -> Ended | None:
    """Ends an active run. None when the attempt is over already, is not `owner`'s, or (with `expired`) still has a
    lease: then nothing was changed.

    A run that was still queued ends as the attempt it was waiting for. Without an `ending` the stored text stays.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status__in=ACTIVE)
        if owner is not None:
            held = held.filter(lease_owner=owner)
        if expired:
            held = held.filter(lease_expires_at__lt=Now())
        run = held.first()
        if run is None:
            return None
        message = Message.objects.get(pk=run.message_id)
        if run.status == RunStatus.QUEUED:
            run.attempt += 1
        run.status = status
        run.finished_at = Now()
        run.lease_expires_at = None
        message.status = MessageStatus.COMPLETE if status == RunStatus.DONE else MessageStatus(status.value)
        if ending is not None:
            message.text = ending.text
            message.html = ending.html
            for name in (
                "error_code",
                "input_tokens",
                "output_tokens",
                "usage_estimated",
                "first_token_ms",
                "total_ms",
            ):
                setattr(run, name, getattr(ending, name))
            run.error_message = ending.error_message
            run.endpoint = ending.endpoint or run.endpoint  # of a lost worker's run the last checkpoint knows it
        used = _used(run, ending)
        if used is not None:  # the run says what is billed, also where nobody counted
            run.input_tokens, run.output_tokens = used.input_tokens, used.output_tokens
            run.usage_estimated = used.estimated
        keep_what_was_heard(run, message)  # what was written is billed, whoever heard it
        message.save(update_fields=["text", "html", "status"])
        # Late: from here to the commit whoever draws from the same pot waits.
        settled = settle_run(run.requested_by_id, run.pk, run.created_at, used, conversation_id=run.conversation_id)
        run.cost = settled.cost
        run.save()
        return replace(
            _ended(run, message), user_id=run.requested_by_id, near=settled.near, used=used, cost=settled.cost
        )


def cut_to_heard(run: Run, heard_chars: int) -> Ended | None:
    """Cuts the answer of an ended run, which the caller has locked; None when all of it was heard. Once for each run.

    The run stays what it was: its attempt has had its one end.
    """
    message = Message.objects.select_related("author").get(pk=run.message_id)
    run.heard_chars = heard_chars
    if not keep_what_was_heard(run, message):
        return None
    run.ended_in_log = False  # until the log has the cut too
    run.save(update_fields=["heard_chars", "produced_chars", "ended_in_log"])
    message.save(update_fields=["text", "html", "status"])
    return _ended(run, message)


def _used(run: Run, ending: Ending | None) -> Used | None:
    """What a run goes into the ledger with. One that failed without a word, or never began, used nothing."""
    if ending is None or (run.status == RunStatus.FAILED and not ending.text):
        return None
    used = Used(run.model, run.endpoint, messages=1)
    if ending.output_tokens is None:  # its worker was lost, and nobody counted
        # The endpoint was asked if it had said a word, or is known from a checkpoint.
        read = _tokens_read(run) if ending.text or run.endpoint else 0
        written = -(-len(ending.text) // CHARACTERS_OF_A_LOST_TOKEN)
        return replace(used, input_tokens=read, output_tokens=written, estimated=True)
    return replace(
        used,
        input_tokens=ending.input_tokens or 0,
        cached_tokens=ending.cached_tokens,
        output_tokens=ending.output_tokens,
        reasoning_tokens=ending.reasoning_tokens,
        estimated=ending.usage_estimated,
    )


def _tokens_read(run: Run) -> int:
    """About how many tokens the model was given; never more than it takes."""
    prompt = Conversation.objects.values_list("system_prompt", flat=True).get(pk=run.conversation_id)
    characters = len(prompt or settings.SYSTEM_PROMPT) + sum(len(text) for _, text in _context_of(run.prompt_id))
    return min(-(-characters // CHARACTERS_OF_A_LOST_TOKEN), settings.MODEL_CONTEXT_TOKENS)


def requeue(run_id: uuid.UUID, attempt: int, *, owner: str | None = None) -> list[events.Event] | None:
    """Gives a run that showed nothing yet to the next worker; returns the events that say so.

    For the reaper, when the lease is over; for the `owner` itself, at shutdown. None when it is not so (any more).
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING)
        run = (held.filter(lease_owner=owner) if owner else held.filter(lease_expires_at__lt=Now())).first()
        if run is None:
            return None
        superseded = events.run_superseded(run, 0)
        run.status = RunStatus.QUEUED
        run.lease_owner, run.lease_expires_at = "", None
        run.enqueued_at = Now()
        run.save(update_fields=["status", "lease_owner", "lease_expires_at", "enqueued_at"])
        Message.objects.filter(pk=run.message_id).update(text="", status=MessageStatus.PENDING)
        return [superseded, events.run_queued(run, attempt=attempt + 1)]


def mark_ended_in_log(run_ids: Sequence[uuid.UUID]) -> None:
    Run.objects.filter(pk__in=run_ids).update(ended_in_log=True)


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
        return context_of(self.run_id, self.conversation_id, self.user_id, self.trace_id)


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
    return [_ended(run, run.message) for run in runs]


def _ended(run: Run, message: Message) -> Ended:
    cut = run.produced_chars is not None
    return Ended(
        run.conversation_id,
        run.pk,
        run.attempt,
        events.run_ended(run, message),
        silent=not message.text and not cut,
        kept=events.message_updated(message, run) if cut else None,
    )


def announcements(run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[events.Event]]:
    """What should stand in the log before anything else of these runs."""
    runs = Run.objects.select_related("message", "prompt__author").filter(pk__in=run_ids)
    return {
        run.pk: [
            events.message_created(run.prompt),
            events.message_created(run.message),
            events.run_queued(run, attempt=1),
        ]
        for run in runs
    }

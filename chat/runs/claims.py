"""Claims, renews, checkpoints and requeues runs in PostgreSQL. Sync; each function is one transaction.

A claim starts an attempt and a lease, by the database's clock. Every write of a worker names its attempt and its owner,
so a worker that has lost its lease (paused, disconnected, presumed dead) can change nothing any more: it is fenced.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Left, Now

from accounts.lib.postgresql.prepared import PreparedStatement, execute_all, rows_of_all
from accounts.quotas.ceilings import QUOTA_COLUMNS, RESERVED_BY_CLAIMED, ReservedQuota, reserved_quotas
from chat.eventlog import events
from chat.models import Message, MessageStatus, Reasoning, Run, RunStatus
from chat.runs.branch_files import BranchFile, read_branch_files
from chat.runs.context import (
    CONTEXT_OF_CLAIMED,
    Begun,
    Branch,
    ClaimedRun,
    branch_of_claimed,
    limits_of_claimed,
    read_begun,
    read_text_before,
)
from chat.runs.exact_request import ExactRequest, Function, read_exact
from chat.runs.lost import Lost, book_lost
from chat.runs.returned_calls import read_replays
from chat.runs.system_prompt import OWN_INSTRUCTIONS, compose_system_prompt, with_people
from chat.runs.tool_limits import (
    NO_TOOLS,
    PLAN,
    TOOL_COLUMN_COUNT,
    TOOL_COLUMNS,
    ToolLimits,
    ToolsVersion,
    tool_limits,
)
from chat.runs.tools_version import VERSION_OF_CLAIMED, version_from

MAX_ATTEMPTS: Final = 3

_CLAIM: Final = PreparedStatement(
    f"""
WITH claimed AS (
    UPDATE chat_run SET status = 'running', attempt = attempt + 1, lease_owner = %(owner)s,
           lease_expires_at = clock_timestamp() + make_interval(secs => %(seconds)s),
           started_at = COALESCE(started_at, clock_timestamp()), checkpoint_epoch = '', checkpoint_seq = 0,
           queued_ms = COALESCE(queued_ms, -- at least 0: the clock may have been set back
               GREATEST((EXTRACT(EPOCH FROM clock_timestamp() - created_at) * 1000)::int, 0))
    WHERE id = %(run)s AND status = 'queued'
    RETURNING id, conversation_id, prompt_id, message_id, model, attempt, queued_ms, requested_by_id, trace_id,
        base_chars, step_count, kept_chars, kept_reasoning, created_at, parameters, effort
)
SELECT claimed.*, c.effort, c.temperature, c.max_tokens, c.system_prompt, own.text, api.turns, {TOOL_COLUMNS}, quota.*
FROM claimed JOIN chat_conversation c ON c.id = conversation_id
LEFT JOIN chat_apirequest api ON api.message_id = claimed.prompt_id
LEFT JOIN LATERAL ({OWN_INSTRUCTIONS} WHERE q.id = claimed.prompt_id) own ON true
LEFT JOIN LATERAL ({PLAN}) plan ON true
LEFT JOIN LATERAL ({RESERVED_BY_CLAIMED}) quota ON true
""",  # noqa: S608 -- constants
    {"owner": "text", "seconds": "double precision", "run": "uuid"},
)

# A row that somebody else has locked is left out, so that its lease does not hold up those of the other runs.
_RENEW: Final = """
WITH free AS (
    SELECT id FROM chat_run WHERE id = ANY(%(ids)s) AND lease_owner = %(owner)s AND status = 'running'
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
), renewed AS (
    UPDATE chat_run SET lease_expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE id IN (SELECT id FROM free)
)
SELECT id, attempt, stop_requested_at IS NOT NULL
FROM chat_run WHERE id = ANY(%(ids)s) AND lease_owner = %(owner)s AND status = 'running'
"""

_CHECKPOINT: Final = """
WITH given AS (
    SELECT * FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[])
        AS given (run_id, attempt, epoch, seq, endpoint, text, reasoning, reasoning_ms)
), held AS (
    SELECT r.id, r.message_id FROM given
    JOIN chat_run r ON r.id = given.run_id AND r.attempt = given.attempt
    JOIN chat_message m ON m.id = r.message_id
    WHERE r.lease_owner = %s AND r.status = 'running'
        AND length(given.text) >= r.kept_chars -- it was taken before a step was stored, and comes after it
        AND COALESCE(length(given.reasoning), r.kept_reasoning) >= r.kept_reasoning
    ORDER BY r.id FOR NO KEY UPDATE OF r, m SKIP LOCKED
), run AS (
    UPDATE chat_run r SET checkpoint_epoch = given.epoch, checkpoint_seq = given.seq, endpoint = given.endpoint,
        reasoning_ms = given.reasoning_ms, reasoning_chars = COALESCE(length(given.reasoning), r.reasoning_chars)
    FROM given, held WHERE r.id = held.id AND given.run_id = held.id
), reasoning AS (
    INSERT INTO chat_reasoning (run_id, text) SELECT held.id, given.reasoning FROM given, held
    WHERE given.run_id = held.id AND given.reasoning IS NOT NULL
    ON CONFLICT (run_id) DO UPDATE SET text = excluded.text
)
UPDATE chat_message m SET text = given.text, status = 'streaming'
FROM given, held WHERE m.id = held.message_id AND given.run_id = held.id RETURNING held.id
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run this worker has claimed, and what it needs to answer. `path` is (role, text), oldest first; `summary` is of
    what came before it, and `older` messages before that were not read. `quotas`: what the run has reserved in hard
    quotas of tokens and money. `text_before` is the text of an answer that this run continues; empty of a new answer.
    `asked` are the parameters of this answer alone, which are in the other fields, too. `instructions` is how many
    characters of the system prompt are the user's own. `begun` is what an earlier attempt has left in finished steps;
    None: this attempt begins the run's part of the answer. `exact`: the `path` is that of this request of the API,
    which is sent as it is, roles included: nothing is added or left out. `files` are those of the branch, oldest first;
    `ids` are the messages of `path`. `has_collections`: the conversation has some, which may be usable for whoever
    asks. `tools_version` is of the tools that whoever asked is offered; None: there are none, or the run has steps.
    """

    run: ClaimedRun
    system_prompt: str
    path: list[tuple[str, str]]
    temperature: float | None = None
    max_tokens: int | None = None
    effort: str = ""
    quotas: Sequence[ReservedQuota] = ()
    summary: str = ""
    older: int = 0
    text_before: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    instructions: int = 0
    tools: ToolLimits = NO_TOOLS
    begun: Begun | None = None
    exact: ExactRequest | None = None
    files: Sequence[BranchFile] = ()
    ids: Sequence[uuid.UUID] = ()
    has_collections: bool = False
    tools_version: ToolsVersion | None = None

    @property
    def functions(self) -> Sequence[Function]:
        """Those that the program which asks makes the calls of; then the model is offered no others."""
        return self.exact.functions if self.exact is not None else ()

    @property
    def shown_text(self) -> str:
        """The text that this attempt goes on after, which everybody has."""
        return self.begun.text if self.begun else self.text_before


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this worker has: renewed, or of a row that is locked at the moment."""

    run_id: uuid.UUID
    attempt: int
    stop_requested: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole text of an answer so far, and the position in the event log up to which it is exactly that text.

    `reasoning` is the whole reasoning; None if it is stored already. `reasoning_ms` is how long it took so far.
    """

    run_id: uuid.UUID
    attempt: int
    epoch: str
    seq: int
    text: str
    endpoint: str = ""
    reasoning: str | None = None
    reasoning_ms: int = 0


def claim(run_id: uuid.UUID, owner: str, window_of: Callable[[str], int | None] | None = None) -> Claim | None:
    """Claims a queued run. None if another worker has it or it has ended: the job was delivered twice.

    `window_of` gives the context window of a model in tokens, if it is known: so much of the branch is read.
    """
    with connection.cursor() as cursor:
        values = {"owner": owner, "seconds": settings.RUN_LEASE_SECONDS, "run": run_id, **limits_of_claimed()}
        execute_all(cursor, [_CLAIM, CONTEXT_OF_CLAIMED, VERSION_OF_CLAIMED], values)
        rows, messages, versions = rows_of_all(cursor)  # `rows`: one, or one for each quota
    if not rows:
        return None
    first, limits = rows[0][:-QUOTA_COLUMNS][:-TOOL_COLUMN_COUNT], rows[0][:-QUOTA_COLUMNS][-TOOL_COLUMN_COUNT:]
    *fields, once, run_effort, effort, temperature, max_tokens, prompt, instructions, exact = first
    asked = json.loads(once).get("asked", {})
    quotas = reserved_quotas([row[-QUOTA_COLUMNS:] for row in rows])
    run = ClaimedRun(*fields)
    request: ExactRequest | None = None
    if exact is not None:
        request = read_exact(json.loads(exact))
        request = replace(request, replays=read_replays(run.user_id, request.path, request.notes))
        files = read_branch_files(run.prompt_id) if request.placed else []
        branch = Branch([run.prompt_id], request.path, files=files)
        system_prompt, instructions = "", ""
    else:
        window = window_of(run.model) if window_of else None
        branch = branch_of_claimed(run, messages, window)
        system_prompt = with_people(compose_system_prompt(prompt, instructions or ""), several=bool(branch.authors))
    before = read_text_before(run.message_id, run.base_chars)
    return Claim(
        run, system_prompt, branch.named_path, asked.get("temperature", temperature),
        asked.get("max_tokens", max_tokens), run_effort or effort, quotas, summary=branch.summary, older=branch.older,
        text_before=before, asked=asked, instructions=len(instructions or ""), tools=tool_limits(limits),
        begun=read_begun(run) if run.step_count else None, exact=request,
        files=branch.files, ids=branch.ids if exact is None else (), has_collections=branch.has_collections,
        tools_version=version_from(versions[0]) if versions else None,
    )  # fmt: skip


def renew(run_ids: Sequence[uuid.UUID], owner: str) -> list[Lease]:
    """Renews the leases this worker still has. The lease of a run that is not returned is lost.

    Waits for no row: a run whose row is locked keeps its lease as it is.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, {"seconds": settings.RUN_LEASE_SECONDS, "ids": list(run_ids), "owner": owner})
        return [Lease(*row) for row in cursor.fetchall()]


def checkpoint(points: Sequence[Checkpoint], owner: str) -> set[uuid.UUID]:
    """Stores texts so far, in one statement; the ids of the runs that it stored.

    Runs whose lease this worker has lost, or whose rows are locked at the moment, are not changed.
    """
    rows = [
        (p.run_id, p.attempt, p.epoch, p.seq, p.endpoint, p.text.replace("\x00", ""), p.reasoning, p.reasoning_ms)
        for p in points
    ]
    with connection.cursor() as cursor:
        cursor.execute(_CHECKPOINT, [*map(list, zip(*rows, strict=True)), owner])
        return {row[0] for row in cursor.fetchall()}


def requeue(
    run_id: uuid.UUID, attempt: int, *, owner: str | None = None, lost: Lost | None = None
) -> list[events.Event] | None:
    """Queues a run for the next worker, which goes on after its last finished step; returns the events that announce
    it. What was shown after that step is dropped: the next attempt replaces it. A run without steps must have shown no
    text; of one with steps, `lost` is all that was shown, and what its request has used is booked.

    The `owner` may do so at shutdown; without an `owner` the lease must have expired. Otherwise returns None.
    """
    with transaction.atomic():
        found = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING)
        run = (found.filter(lease_owner=owner) if owner else found.filter(lease_expires_at__lt=Now())).first()
        if run is None:
            return None
        superseded = events.run_superseded(run, run.begins_with)
        if run.step_count and lost is not None:
            book_lost(run, lost)
        run.status = RunStatus.QUEUED
        run.lease_owner, run.lease_expires_at = "", None
        run.enqueued_at = Now()
        run.save(update_fields=["status", "lease_owner", "lease_expires_at", "enqueued_at"])
        drop_unfinished(run)
        return [superseded, events.run_queued(run, attempt=attempt + 1)]


def drop_unfinished(run: Run) -> None:
    """Removes what an attempt has written after the last finished step from a run that the caller has locked and that
    no worker owns from now on. The next attempt begins with the text that is left: empty, unless the run continues an
    answer or has finished steps.
    """
    run.checkpoint_epoch, run.checkpoint_seq, run.reasoning_chars = "", 0, run.kept_reasoning
    if not run.kept_reasoning:
        run.reasoning_ms = 0
        Reasoning.objects.filter(run=run).delete()
    else:
        Reasoning.objects.filter(run=run).update(text=Left("text", run.kept_reasoning))
    run.save(update_fields=["checkpoint_epoch", "checkpoint_seq", "reasoning_chars", "reasoning_ms"])
    kept = run.begins_with
    Message.objects.filter(pk=run.message_id).update(
        text=Left("text", kept) if kept else "", status=MessageStatus.PENDING
    )

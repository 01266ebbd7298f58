"""Consistent reads of a conversation: its rows and its position in the event log as of one moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Exists
from django.utils.translation import gettext as _

from accounts.lib.db import in_db
from chat.conversations.branches import answers_beside, path_ids
from chat.eventlog import store
from chat.eventlog.costs import is_shown, payers_rule
from chat.eventlog.html_requests import request_missing_html
from chat.eventlog.payloads import message_dict, summary_dict
from chat.eventlog.queue_events import queued_dict
from chat.eventlog.replay import ReasoningDelta, extend
from chat.eventlog.step_bounds import bound_steps
from chat.eventlog.tool_events import read_steps
from chat.files.payloads import load_files, load_queued_files
from chat.files.sources import load_sources
from chat.files.uses import load_file_names
from chat.models import (
    ACTIVE,
    Comparison,
    Conversation,
    Member,
    Message,
    QueuedMessage,
    QueuedState,
    Reasoning,
    Run,
    RunStatus,
)
from chat.protocol.commands import Position
from chat.protocol.errors import Unavailable

SNAPSHOT_MESSAGES: Final = 200
SNAPSHOT_BYTES: Final = 192 * 1024  # of message texts; below the window, so that a snapshot alone never fills it
SNAPSHOT_BRANCH: Final = 40  # messages of the reader's own branch that come first
READ_ATTEMPTS: Final = 6


@dataclass(slots=True)
class State:
    """A conversation as it was at `position` of its log, oldest message first."""

    position: Position
    conversation: Conversation
    messages: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    queued: list[dict[str, Any]]  # messages that wait, the next one first
    has_more: bool = False  # older messages exist
    side_by_side: int = 0  # how many of the last messages are answers to one question of which none is chosen yet
    tip_id: uuid.UUID | None = None  # the last message of the branch that the reader looks at


@dataclass(slots=True)
class _Rows:
    conversation: Conversation
    messages: list[Message]
    runs: dict[uuid.UUID, Run] = field(default_factory=dict)  # the latest, by id of the answer
    earlier: dict[uuid.UUID, list[Run]] = field(default_factory=dict)  # those that it continues, oldest first
    texts: dict[uuid.UUID, str] = field(default_factory=dict)  # of answers in progress, by their ids
    reasoning: dict[uuid.UUID, str] = field(default_factory=dict)  # by id of the answer, where there is some
    versions: dict[uuid.UUID, list[str]] = field(default_factory=dict)  # by message id, where there are several
    comparisons: dict[uuid.UUID, Comparison] = field(default_factory=dict)  # by id of the question
    steps: dict[uuid.UUID, list[dict[str, Any]]] = field(default_factory=dict)  # by id of the answer, of its latest run
    queued: list[QueuedMessage] = field(default_factory=list)
    has_more: bool = False
    side_by_side: int = 0
    tip_id: uuid.UUID | None = None
    reader: uuid.UUID | None = None


def _conversation(conversation_id: uuid.UUID) -> tuple[Conversation, list[QueuedMessage]]:
    """The conversation, and its messages that wait: a second query only if there are any."""
    waiting = QueuedMessage.objects.filter(conversation=conversation_id, state=QueuedState.WAITING)
    found: Any = Conversation.objects.annotate(has_waiting=Exists(waiting)).get(pk=conversation_id)
    queued = list(waiting.select_related("author").order_by("position", "id")) if found.has_waiting else []
    load_queued_files(queued)
    return found, queued


def _with_runs(rows: _Rows, *, versions: bool) -> _Rows:
    ids = [message.pk for message in rows.messages]
    runs = Run.objects.select_related("requested_by").annotate(costs_rule=payers_rule())
    for run in runs.filter(message_id__in=ids).order_by("part"):
        is_payer = rows.reader is not None and run.requested_by_id == rows.reader
        run.cost_shown = is_payer and is_shown(run.costs_rule)
        if (before := rows.runs.get(run.message_id)) is not None:
            rows.earlier.setdefault(run.message_id, []).append(before)
        rows.runs[run.message_id] = run
    if compared := {run.prompt_id for run in rows.runs.values() if run.slot}:
        rows.comparisons = Comparison.objects.in_bulk(compared)
    if thought := {run.pk: run.message_id for run in rows.runs.values() if run.reasoning_chars}:
        texts = Reasoning.objects.filter(run__in=thought).values_list("run", "text")
        rows.reasoning = {thought[run_id]: text for run_id, text in texts}
    load_files(rows.messages)
    load_file_names(rows.runs.values())
    load_sources(rows.runs.values())
    rows.steps = _steps_of([run for run in rows.runs.values() if run.step_count])
    if versions:
        siblings: dict[tuple[Any, str], list[Any]] = {}
        parents = {message.parent_id for message in rows.messages}
        family = Message.objects.filter(conversation=rows.conversation)
        family = family.filter(parent_id__in=parents - {None}) | (
            family.filter(parent_id=None) if None in parents else family.none()
        )
        for pk, parent, role in family.order_by("created_at", "id").values_list("id", "parent_id", "role"):
            siblings.setdefault((parent, role), []).append(pk)
        for message in rows.messages:
            group = siblings.get((message.parent_id, message.role), [])
            if len(group) > 1:
                rows.versions[message.pk] = [str(pk) for pk in group]
    return rows


def _steps_of(runs: Sequence[Run]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The steps of runs, by the ids of their answers. No query without runs."""
    found = read_steps([run.pk for run in runs])
    return {run.message_id: found.get(run.pk, []) for run in runs}


def _load_path(conversation_id: uuid.UUID, leaf: uuid.UUID | None, limit: int, reader: uuid.UUID | None) -> _Rows:
    conversation, queued = _conversation(conversation_id)
    leaf = leaf or conversation.tip_id
    ids = path_ids(conversation_id, leaf, limit=limit + 1)
    kept = ids[-limit:]
    beside = answers_beside(kept[-1]) if kept else []
    kept[len(kept) - bool(beside) :] = beside
    found = Message.objects.select_related("author", "summary").in_bulk(kept)
    messages = [found[pk] for pk in kept if pk in found]
    rows = _Rows(
        conversation,
        messages,
        queued=queued,
        has_more=len(ids) > limit,
        side_by_side=len(beside),
        tip_id=leaf,
        reader=reader,
    )
    return _with_runs(rows, versions=True)


def _load_newest(conversation_id: uuid.UUID, user_id: uuid.UUID | None = None) -> _Rows:
    conversation, queued = _conversation(conversation_id)
    members = Member.objects.filter(conversation=conversation, user=user_id) if user_id else Member.objects.none()
    own = members.values_list("tip_id", flat=True).first()
    branch = path_ids(conversation_id, own, limit=SNAPSHOT_BRANCH)
    newest = list(
        Message.objects.select_related("author", "summary")
        .filter(conversation_id=conversation_id)
        .order_by("-created_at", "-id")[: SNAPSHOT_MESSAGES + 1]
    )
    own_branch = Message.objects.select_related("author", "summary").in_bulk(branch)
    thought = dict(
        Run.objects.filter(message__in=[*newest, *branch], reasoning_chars__gt=0).values_list(
            "message", "reasoning_chars"
        )
    )
    kept: dict[uuid.UUID, Message] = {}
    size = 0
    # First the reader's own branch, where it is not the newest, then the newest of all.
    for messages, most in (
        ([own_branch[pk] for pk in reversed(branch)], SNAPSHOT_BYTES // 2),
        (newest[:SNAPSHOT_MESSAGES], SNAPSHOT_BYTES),
    ):
        for message in messages:
            if message.pk in kept:
                continue
            size += len(message.text.encode()) + len(message.html.encode()) + thought.get(message.pk, 0)
            if kept and size > most and message.status not in ("pending", "streaming"):
                break
            kept[message.pk] = message
    in_order = sorted(kept.values(), key=lambda message: (message.created_at, message.pk))
    left_out = any(message.pk not in kept for message in newest)
    rows = _Rows(
        conversation, in_order, queued=queued, has_more=left_out, tip_id=own or conversation.tip_id, reader=user_id
    )
    return _with_runs(rows, versions=False)


async def read_state(
    conversation_id: uuid.UUID, *, limit: int = 40, leaf: uuid.UUID | None = None, reader: uuid.UUID | None = None
) -> State:
    """The path that ends at `leaf`, else at the newest message, for a page. The caller checks access. `reader` sees the
    costs of the answers that they asked for; without one, no costs are told.
    """
    return await _consistent(conversation_id, lambda: _load_path(conversation_id, leaf, limit, reader))


async def read_snapshot(conversation_id: uuid.UUID, user_id: uuid.UUID | None = None) -> State:
    """The end of the branch that the user looks at, and the newest messages of all branches, for a socket that cannot
    replay the log. The caller checks access.
    """
    return await _consistent(conversation_id, lambda: _load_newest(conversation_id, user_id))


async def _consistent(conversation_id: uuid.UUID, load: Callable[[], _Rows]) -> State:
    """The rows and the log's position as of one moment. Raises `Unavailable` after `READ_ATTEMPTS`.

    A sequence lock: it reads the position, the rows, and the position again. When only deltas came in between, the rows
    are the state at the second position, except for the texts of answers in progress. The log's deltas complete those.
    """
    for attempt in range(READ_ATTEMPTS):
        before, state_before = await store.position(conversation_id)
        rows = await in_db(_at_one_moment, load)
        after, state_after = await store.position(conversation_id)
        if (before.epoch, state_before) != (after.epoch, state_after):
            continue
        active = [run for run in rows.runs.values() if run.status in ACTIVE]
        whole = await _complete(conversation_id, after, active, rows)
        if whole and (not active or await _epoch(conversation_id) == after.epoch):
            await request_missing_html(rows.messages)
            return _state(after, rows)
        await asyncio.sleep(0.05 * 2**attempt)  # until the next checkpoint
    raise Unavailable(_("This conversation is busy. Try again in a moment."))


def _at_one_moment(load: Callable[[], _Rows]) -> _Rows:
    """The rows of one moment. Read one by one, an answer could be half written and its run already ended."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return load()


async def _epoch(conversation_id: uuid.UUID) -> str:
    """The log's epoch now: another one than before if Redis has lost the log meanwhile."""
    here, _ = await store.position(conversation_id)
    return here.epoch


async def _complete(conversation_id: uuid.UUID, position: Position, active: Sequence[Run], rows: _Rows) -> bool:
    """Makes the texts and the reasoning of the answers in progress those of `position`. False when the log lacks a part
    of them.
    """
    if not active:
        return True
    # Of a run that waits or is queued, the log may have text that its next attempt replaces.
    active = [run for run in active if run.status == RunStatus.RUNNING]
    if not active:
        return True
    known = [run.checkpoint_seq if run.checkpoint_epoch == position.epoch else 0 for run in active]
    entries = await store.entries(conversation_id, after=min(known), until=position.seq)
    messages = {message.pk: message for message in rows.messages}
    for run, seq in zip(active, known, strict=True):
        message = messages[run.message_id]
        later = [entry for entry in entries if entry.seq > seq]
        text = extend(message.text, str(run.id), run.attempt, later)
        reasoning = extend(rows.reasoning.get(message.pk, ""), str(run.id), run.attempt, later, ReasoningDelta)
        if text is None or reasoning is None:
            return False
        rows.texts[message.pk] = text
        if reasoning:
            rows.reasoning[message.pk] = reasoning
    return True


def _state(position: Position, rows: _Rows) -> State:
    messages = []
    bound_steps(rows.steps[message.pk] for message in reversed(rows.messages) if message.pk in rows.steps)
    for message in rows.messages:
        pk = message.pk
        run, earlier, text = rows.runs.get(pk), rows.earlier.get(pk, ()), rows.texts.get(pk)
        shown = message_dict(
            message, run, text=text, reasoning=rows.reasoning.get(pk), earlier=earlier,
            comparison=rows.comparisons.get(pk), steps=rows.steps.get(pk, ()),
        )  # fmt: skip
        if (summary := getattr(message, "summary", None)) is not None:
            shown["summary"] = summary_dict(summary)
        if message.pk in rows.versions:
            shown["versions"] = rows.versions[message.pk]
        messages.append(shown)
    runs = [shown["run"] for shown in messages if shown["run"] and shown["run"]["status"] in ACTIVE]
    queued = [queued_dict(row) for row in rows.queued]
    return State(
        position, rows.conversation, messages, runs, queued, rows.has_more, rows.side_by_side, rows.tip_id
    )  # fmt: skip

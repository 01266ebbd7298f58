"""Reads, always through the reader's membership. Somebody else's id is `NotFound`, as is one that never was."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from chat import log
from chat.db import in_db
from chat.delivery import extend
from chat.errors import Forbidden, NotFound, Unavailable
from chat.models import ACTIVE, Conversation, Member, Message, Role, Run, RunStatus
from chat.protocol import Position

WRITERS: Final = (Role.OWNER.value, Role.EDITOR.value)
SNAPSHOT_MESSAGES: Final = 200
SNAPSHOT_BYTES: Final = 192 * 1024  # of message texts; below the window, so that a snapshot alone never fills it
READ_ATTEMPTS: Final = 6


@dataclass(slots=True)
class State:
    """A conversation as it was at `position` of its log, oldest message first."""

    position: Position
    conversation: Conversation
    messages: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    has_more: bool = False  # older messages exist


def member_of(
    user_id: uuid.UUID, conversation_id: uuid.UUID, *, write: bool = False, with_user: bool = False
) -> Member:
    """The user's membership. Raises `NotFound`, or `Forbidden` where `write` is asked of a viewer."""
    member = (
        Member.objects.select_related("conversation", *(["user"] if with_user else []))
        .filter(user_id=user_id, conversation_id=conversation_id, conversation__deleted_at=None)
        .first()
    )
    if member is None:
        raise NotFound
    if write and member.role not in WRITERS:
        raise Forbidden
    return member


def open_conversation(user_id: uuid.UUID, conversation_id: uuid.UUID) -> tuple[str, bool]:
    """The member's name, and whether there are other members. Raises `NotFound`."""
    others = Member.objects.filter(conversation=OuterRef("conversation")).exclude(user_id=user_id)
    row = (
        Member.objects.filter(user_id=user_id, conversation_id=conversation_id, conversation__deleted_at=None)
        .annotate(shared=Exists(others))
        .values_list("user__name", "user__email", "shared")
        .first()
    )
    if row is None:
        raise NotFound
    name, email, shared = row
    return User(name=name, email=email).display_name, shared


def memberships(user_id: uuid.UUID, conversations: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the conversations that the user is a member of."""
    rows = Member.objects.filter(user_id=user_id, conversation_id__in=conversations)
    return set(rows.values_list("conversation_id", flat=True))


def conversations_of(user_id: uuid.UUID) -> QuerySet[Conversation]:
    """The conversations in a user's list, newest first. Temporary ones are in nobody's."""
    listed = Conversation.objects.filter(memberships__user_id=user_id, deleted_at=None, temporary=False)
    return listed.order_by("-updated_at", "-id")


TALKED_OVER: Final = ("talked_over", "You talked over the answer; what was heard of it is kept.")


def trouble_of(run: Run) -> tuple[str | None, str | None]:
    """Why a run's answer is not whole: a code, and a sentence for a person."""
    if run.heard_chars is not None and not run.error_code:
        return TALKED_OVER
    return run.error_code or None, run.error_message or None


def run_dict(run: Run, *, text_length: int = 0) -> dict[str, Any]:
    """A run as frames and pages show it."""
    code, sentence = trouble_of(run)
    shown = {
        "run_id": str(run.id),
        "message_id": str(run.message_id),
        "attempt": run.attempt,
        "model": run.model,
        "status": run.status,
        "code": code,
        "message": sentence,
        "retryable": run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.STOPPED),
        "text_length": text_length,
        "usage": usage_of(run),
        "timing": {"queued_ms": run.queued_ms, "first_token_ms": run.first_token_ms, "total_ms": run.total_ms},
    }
    if run.heard_chars is not None and run.produced_chars is not None:
        shown["heard_chars"] = run.heard_chars
    return shown


def usage_of(run: Run) -> dict[str, Any]:
    return {
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost": None if run.cost is None else f"{run.cost.normalize():f}",
        "estimated": run.usage_estimated,
    }


def message_dict(message: Message, run: Run | None = None, *, text: str | None = None) -> dict[str, Any]:
    """A message as frames and pages show it. `message.author` should be loaded."""
    shown = message.text if text is None else text
    author = message.author
    return {
        "id": str(message.id),
        "parent_id": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "author": {"id": str(author.pk), "name": author.display_name} if author else None,
        "text": shown,
        "html": message.html or None,
        "status": message.status,
        "created_at": message.created_at.isoformat(),
        "run": run_dict(run, text_length=len(shown)) if run else None,
    }


_PATH_SQL: Final = """
WITH RECURSIVE path(id, parent_id, depth) AS (
    SELECT id, parent_id, 0 FROM chat_message WHERE id = %s AND conversation_id = %s
    UNION ALL
    SELECT m.id, m.parent_id, depth + 1 FROM chat_message m JOIN path ON m.id = path.parent_id WHERE depth < %s
)
SELECT id FROM path ORDER BY depth DESC
"""

_LEAF_SQL: Final = """
WITH RECURSIVE down(id, depth) AS (
    SELECT id, 0 FROM chat_message WHERE id = %s AND conversation_id = %s
    UNION ALL
    SELECT (SELECT c.id FROM chat_message c WHERE c.parent_id = down.id ORDER BY c.created_at DESC, c.id DESC LIMIT 1),
           depth + 1
    FROM down WHERE down.id IS NOT NULL
)
SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1
"""


def path_ids(conversation_id: uuid.UUID, leaf: uuid.UUID | None, *, limit: int) -> list[uuid.UUID]:
    """Ids from (at the most `limit` messages above) a message down to it, oldest first."""
    if leaf is None:
        return []
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_PATH_SQL, [leaf, conversation_id, limit - 1])
        return [row[0] for row in cursor.fetchall()]


def newest_leaf(conversation_id: uuid.UUID, message_id: uuid.UUID) -> uuid.UUID:
    """The end of the newest path below a message. Raises `NotFound`."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_LEAF_SQL, [message_id, conversation_id])
        row = cursor.fetchone()
    if row is None:
        raise NotFound
    leaf: uuid.UUID = row[0]
    return leaf


@dataclass(slots=True)
class _Rows:
    conversation: Conversation
    messages: list[Message]
    runs: dict[uuid.UUID, Run] = field(default_factory=dict)  # by id of the answer
    versions: dict[uuid.UUID, list[str]] = field(default_factory=dict)  # by message id, where there are several
    has_more: bool = False


def _with_runs(rows: _Rows, *, versions: bool) -> _Rows:
    ids = [message.pk for message in rows.messages]
    rows.runs = {run.message_id: run for run in Run.objects.filter(message_id__in=ids)}
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


def _load_path(conversation_id: uuid.UUID, leaf: uuid.UUID | None, limit: int) -> _Rows:
    conversation = Conversation.objects.get(pk=conversation_id)
    ids = path_ids(conversation_id, leaf or conversation.tip_id, limit=limit + 1)
    kept = ids[-limit:]
    found = Message.objects.select_related("author").in_bulk(kept)
    rows = _Rows(conversation, [found[pk] for pk in kept if pk in found], has_more=len(ids) > limit)
    return _with_runs(rows, versions=True)


def _load_newest(conversation_id: uuid.UUID) -> _Rows:
    conversation = Conversation.objects.get(pk=conversation_id)
    newest = list(
        Message.objects.select_related("author")
        .filter(conversation_id=conversation_id)
        .order_by("-created_at", "-id")[: SNAPSHOT_MESSAGES + 1]
    )
    kept: list[Message] = []
    size = 0
    for message in newest[:SNAPSHOT_MESSAGES]:
        size += len(message.text.encode()) + len(message.html.encode())
        if kept and size > SNAPSHOT_BYTES and message.status not in ("pending", "streaming"):
            break
        kept.append(message)
    rows = _Rows(conversation, kept[::-1], has_more=len(kept) < len(newest))
    return _with_runs(rows, versions=False)


async def read_state(conversation_id: uuid.UUID, *, limit: int = 40, leaf: uuid.UUID | None = None) -> State:
    """The path that ends at `leaf` (else at the newest message): what a page shows. Authorise before calling."""
    return await _consistent(conversation_id, lambda: _load_path(conversation_id, leaf, limit))


async def read_snapshot(conversation_id: uuid.UUID) -> State:
    """The newest messages of all branches: what a socket gets that cannot catch up. Authorise before calling."""
    return await _consistent(conversation_id, lambda: _load_newest(conversation_id))


async def _consistent(conversation_id: uuid.UUID, load: Callable[[], _Rows]) -> State:
    """PostgreSQL's rows and the log's position as of one moment.

    A sequence lock: position, rows, position again; when no event but deltas came in between, the rows are the state
    at the second position, save that the text of an answer in progress is behind; the log's deltas complete it.
    """
    for attempt in range(READ_ATTEMPTS):
        before, state_before = await log.position(conversation_id)
        rows = await in_db(load)
        after, state_after = await log.position(conversation_id)
        if (before.epoch, state_before) != (after.epoch, state_after):
            continue
        texts = await _texts_at(
            conversation_id, after, [run for run in rows.runs.values() if run.status in ACTIVE], rows
        )
        if texts is not None:
            return _state(after, rows, texts)
        await asyncio.sleep(0.05 * 2**attempt)  # the next checkpoint closes the gap
    raise Unavailable("This conversation is too busy to be read right now.")


async def _texts_at(
    conversation_id: uuid.UUID, position: Position, active: Sequence[Run], rows: _Rows
) -> dict[uuid.UUID, str] | None:
    """The answers in progress exactly as of `position`, by message id; None when the log lacks some."""
    if not active:
        return {}
    known = [run.checkpoint_seq if run.checkpoint_epoch == position.epoch else 0 for run in active]
    entries = await log.entries(conversation_id, after=min(known), until=position.seq)
    stored = {message.pk: message.text for message in rows.messages}
    texts: dict[uuid.UUID, str] = {}
    for run, seq in zip(active, known, strict=True):
        later = [entry for entry in entries if entry.seq > seq]
        text = extend(stored[run.message_id], str(run.id), run.attempt, later)
        if text is None:
            return None
        texts[run.message_id] = text
    return texts


def _state(position: Position, rows: _Rows, texts: dict[uuid.UUID, str]) -> State:
    messages = []
    for message in rows.messages:
        shown = message_dict(message, rows.runs.get(message.pk), text=texts.get(message.pk))
        if message.pk in rows.versions:
            shown["versions"] = rows.versions[message.pk]
        messages.append(shown)
    runs = [shown["run"] for shown in messages if shown["run"] and shown["run"]["status"] in ACTIVE]
    return State(position, rows.conversation, messages, runs, rows.has_more)

"""Submits a turn: check → commit → enqueue → join → announce.

The page's sockets, dictation and staff's retry all call `submit`. Whatever can refuse a command does so before the
commit; what fails after the commit is completed by `chat.recovery`, and the caller may send the same command again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from accounts.lib.db import in_db
from chat.eventlog import store
from chat.eventlog.user_events import notify_conversation_listed
from chat.jobs.dispatch import enqueue
from chat.models.moderation import Direction
from chat.notifications.turns import announce_soon
from chat.protocol.commands import AnyTurn, MessageContinue, MessageEdit, MessageSend, Position
from chat.telemetry import latency_marks, metrics, tracing
from chat.turns.accept import accept
from chat.turns.accepted import Accepted, Check, accept_any
from chat.turns.continuing import accept_continue
from chat.turns.mentioning import notify_mentioned, read_message
from chat.turns.unasked import note_announced

Follow = Callable[[Position], None]
Join = Callable[[Accepted], AbstractAsyncContextManager[Follow | None]]

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A turn that was accepted and announced."""

    accepted: Accepted
    position: Position  # just before its first event
    under_way: list[asyncio.Future[None]]  # jobs on their way to the broker, and news on its way to the members


@asynccontextmanager
async def _no_join(accepted: Accepted) -> AsyncIterator[None]:
    yield


async def submit(
    user_id: uuid.UUID,
    command: AnyTurn,
    *,
    check: Check = accept_any,
    join: Join = _no_join,
    direction: Direction = Direction.ASKED,
    token_id: uuid.UUID | None = None,
) -> Submitted:
    """Accepts a turn, enqueues its run and announces it; neither of the two waits for the other.

    `check` may refuse the conversation before the commit (see `accept`). `join` is entered after the commit and before
    the announcement, so that a caller can join the conversation's group and miss no event; what it yields, if anything,
    is called with the position to follow from. A duplicate is joined as well, but not enqueued or announced again; a
    held message is enqueued when it is released. `direction` and `token_id` are for `accept`.
    Raises `ChatError`s, and one of `OUTAGE` if PostgreSQL or Redis is away.
    """
    received = time.monotonic()
    with tracing.span("turn", attributes={"db.system.name": "postgresql"}) as span:
        if isinstance(command, MessageContinue):
            accepted = await in_db(accept_continue, user_id, command, check, token_id)
        else:
            accepted = await in_db(accept, user_id, command, check, direction, token_id)
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.conversation.id": str(accepted.conversation_id),
                    "antiphon.run.id": str(accepted.asked_run_id or ""),
                    "antiphon.duplicate": accepted.duplicate,
                }
            )
    committed = time.monotonic()
    if accepted.duplicate:
        metrics.counted.repeats += 1
    wanted = [] if accepted.duplicate or accepted.held else accepted.runs
    enqueueing = _enqueue(wanted, offered=not accepted.continues) if wanted else None
    announcing: asyncio.Task[None] | None = None
    async with join(accepted) as follow:
        appended = await announce(accepted)
        if appended and accepted.asked_run_id is not None:
            moments = {"received": received, "committed": committed, "announced": time.monotonic()}
            await latency_marks.hand_over(accepted.run_id, **moments)
        for member in accepted.members:
            await notify_conversation_listed(member, {**accepted.listing, "running": bool(wanted)})
        if accepted.mentioned:
            await notify_mentioned(await in_db(read_message, accepted.message_id), accepted.mentioned)
        if len(accepted.members) > 1 or accepted.held:
            wrote = isinstance(command, MessageSend | MessageEdit) and not accepted.held
            told = [member for member in accepted.members if member != user_id] if wrote else []
            announcing = announce_soon(accepted.conversation_id, accepted.message_id, told)
        position = await _position_before(accepted, appended)
        if follow is not None:
            follow(position)
    return Submitted(accepted, position, [one for one in (enqueueing, announcing) if one is not None])


async def announce(accepted: Accepted) -> list[store.Appended]:
    """Appends the turn's first events to the log, once however often it is called; nothing for a duplicate.

    The worker does it if this process ends before; of a message that asks nobody, the recovery of any process.
    """
    if accepted.duplicate:
        return []
    with tracing.span("announce"):
        appended = await store.append(*accepted.announcements)
    if accepted.asked_run_id is None:
        await in_db(note_announced, [accepted.message_id])
    return appended


async def _position_before(accepted: Accepted, appended: Sequence[store.Appended]) -> Position:
    if not appended or any(one.skipped for one in appended):
        if accepted.continues:
            return await store.before_run(accepted.conversation_id, accepted.run_id)
        return await store.before_message(accepted.conversation_id, accepted.message_id)
    return Position(appended[0].epoch, appended[0].seq - len(accepted.announcements[0].events))


def _enqueue(run_ids: Sequence[uuid.UUID], *, offered: bool) -> asyncio.Future[None]:
    job = asyncio.ensure_future(_enqueue_all(run_ids, offered=offered))
    job.add_done_callback(_log_failure)
    return job


async def _enqueue_all(run_ids: Sequence[uuid.UUID], *, offered: bool) -> None:
    for run_id in run_ids:
        await enqueue(run_id, offered=offered)


def _log_failure(job: asyncio.Future[None]) -> None:
    if not job.cancelled() and (error := job.exception()):
        logger.warning("enqueue_failed", error=type(error).__name__, note="the sweeper enqueues it")

"""A conversation goes on with the messages that wait, when an answer has ended.

Safe to call at any time, by any process and by several at once: a message's row is deleted by the transaction that
inserts the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models import QueuedMessage, QueuedState
from chat.protocol.commands import MessageSend, Position
from chat.protocol.errors import Busy, ChatError, Internal
from chat.telemetry import metrics, tracing
from chat.turns import stop, waiting_events, waiting_line
from chat.turns.accepted import Accepted, Check, accept_any
from chat.turns.line_state import find_due, has_waiting, note_refused
from chat.turns.submit import Follow, submit
from chat.turns.waiting_line import Queued

MOST_STEPS: Final = 2 * waiting_line.MOST_WAITING  # of one call

Joined = Callable[[Accepted | Queued], AbstractAsyncContextManager[Follow | None]]

logger = structlog.get_logger(__name__)
_tasks: set[asyncio.Task[None]] = set()


class _TakenError(Exception):
    """Somebody else has sent, changed or removed the message."""


async def submit_or_queue(
    user_id: uuid.UUID,
    command: MessageSend,
    *,
    check: Check = accept_any,
    join: Joined,
    token_id: uuid.UUID | None = None,
) -> None:
    """`submit` for a message that may wait: `command.when_busy` says whether it does while an answer is in progress.

    `check`, `join` and `token_id` are as for `submit`; a message that waits is joined as a `Queued`, and counts for the
    token when it begins to wait. Raises as `submit` does.
    """
    conversation_id = command.conversation_id
    if command.when_busy == "refuse" or conversation_id is None:
        await submit(user_id, command, check=check, join=join, token_id=token_id)
        return
    checked = False

    def check_line(one: uuid.UUID) -> None:
        nonlocal checked
        if not checked:
            check(one)
            checked = True
        if waiting_line.is_behind(user_id, one, command):
            raise Busy

    while True:
        try:
            await submit(user_id, command, check=check_line, join=join, token_id=token_id)
        except Busy:
            queued = await in_db(waiting_line.enqueue, user_id, command, token_id)
            if queued is None:  # sent meanwhile: `submit` finds it
                continue
            await _join_queued(queued, check if not checked else accept_any, join)
        return


async def _join_queued(queued: Queued, check: Check, join: Joined) -> None:
    """Announces a message that waits, as `submit` announces one that does not."""
    check(queued.conversation_id)
    async with join(queued) as follow:
        appended = await waiting_events.publish(queued.conversation_id)
        position: Position = waiting_events.before(appended.get(queued.message_id))
        if follow is not None:
            follow(position)
    go_on_soon([queued.conversation_id])  # the answer may have ended, or is to be stopped


async def change(change_line: Callable[[], uuid.UUID]) -> None:
    """Carries out a change of a line (`chat.turns.waiting_line`), publishes it, and goes on with what is due then."""
    conversation_id = await in_db(change_line)
    await _publish(conversation_id)
    go_on_soon([conversation_id])


async def publish_and_go_on(conversation_id: uuid.UUID) -> None:
    """The same for a change that was carried out before, by a caller that ends its event loop then."""
    await _publish(conversation_id)
    await go_on(conversation_id)


async def _publish(conversation_id: uuid.UUID) -> None:
    with contextlib.suppress(*OUTAGE):  # it is done; recovery publishes it
        await waiting_events.publish(conversation_id)


def go_on_soon(conversation_ids: Collection[uuid.UUID]) -> None:
    """`go_on` in a task. If this process ends before it is done, recovery of any process does it."""
    for one in conversation_ids:
        task = asyncio.get_running_loop().create_task(go_on(one))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


async def after_end(conversation_ids: Collection[uuid.UUID]) -> None:
    """For `chat.runs.closing`: answers of these conversations have ended, and the event log says so."""
    go_on_soon(set(conversation_ids))


async def go_on(conversation_id: uuid.UUID) -> None:
    """Sends what is due in a conversation's line, and notes why the others wait on. Raises nothing."""
    try:
        if await in_db(has_waiting, conversation_id):
            await _go_on(conversation_id)
    except OUTAGE as error:
        logger.warning("waiting_line_delayed", conversation=str(conversation_id), error=type(error).__name__)
    except Exception:
        logger.exception("waiting_line_failed", conversation=str(conversation_id))


async def _go_on(conversation_id: uuid.UUID) -> None:
    for _ in range(MOST_STEPS):
        due = await in_db(find_due, conversation_id)
        await waiting_events.publish(conversation_id)
        stopped = [await in_db(stop.mark_stopped, run_id) for run_id in due.stop]
        for one in stopped:
            await stop.notify_stopped(one)
        if due.row is None:
            if any(one.ended for one in stopped):  # it had not begun
                continue
            return
        try:
            await _send(due.row, due.parent_id)
        except _TakenError:
            continue
        except Busy:
            return  # another message was first: its answer's end goes on
        except ChatError as error:
            await _refused(due.row, error)
        except OUTAGE:
            raise
        except Exception:
            logger.exception("queued_message_failed", message=str(due.row.pk))
            await _refused(due.row, Internal())


async def _send(row: QueuedMessage, parent_id: uuid.UUID | None) -> None:
    """Sends a message as its author, once. Raises `_TakenError` and as `submit` does."""

    def take(_: uuid.UUID) -> None:
        if not _delete(row):
            raise _TakenError

    command = waiting_line.command_of(row, parent_id)
    tracing.current.set(tracing.new_traceparent())  # it belongs to no trace of the answer before
    submitted = await submit(row.author_id, command, check=take, join=_join_nothing)
    if submitted.accepted.duplicate and not await in_db(_delete, row):
        raise _TakenError
    metrics.waiting_line["sent"] += 1
    logger.info("queued_message_sent", message=str(row.pk), conversation=str(row.conversation_id))
    await waiting_events.publish_sent(row.conversation_id, row.pk, row.revision)


async def _refused(row: QueuedMessage, error: ChatError) -> None:
    metrics.waiting_refusals[error.code] += 1
    await in_db(note_refused, row, error)
    await waiting_events.publish(row.conversation_id)


def _delete(row: QueuedMessage) -> bool:
    waiting = QueuedMessage.objects.filter(pk=row.pk, revision=row.revision, state=QueuedState.WAITING)
    return bool(waiting.delete()[0])


@asynccontextmanager
async def _join_nothing(_: Accepted) -> AsyncIterator[None]:
    yield

"""Somebody wrote or asked: the members' lists show it, and the others are notified if they are away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Final

from chat.notifications.marks import publish_marks
from chat.notifications.notify import Kind, News, notify_all

_tasks: Final[set[asyncio.Task[None]]] = set()


def announce_soon(conversation_id: uuid.UUID, message_id: uuid.UUID, others: Sequence[uuid.UUID]) -> asyncio.Task[None]:
    """`announce_turn` in a task of its own: who wrote does not wait for it."""
    task = asyncio.create_task(announce_turn(conversation_id, message_id, others))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def announce_turn(conversation_id: uuid.UUID, message_id: uuid.UUID, others: Sequence[uuid.UUID]) -> None:
    """Publishes the marks of a conversation in which something was asked or written, and notifies `others` that
    somebody wrote this message. Raises nothing.
    """
    await publish_marks([conversation_id])
    if others:
        await notify_all([News(Kind.WROTE, conversation_id, message_id, tuple(others))])

"""The commands of the waiting line: messages that wait until an answer in progress has ended."""

from __future__ import annotations

import uuid

from chat.protocol.base import Command


class QueueEdit(Command, frozen=True, tag="queue.edit"):
    message_id: uuid.UUID
    text: str


class QueueRemove(Command, frozen=True, tag="queue.remove"):
    message_id: uuid.UUID


class QueueSendNow(Command, frozen=True, tag="queue.send_now"):
    """Sends a waiting message next. An answer in progress where it goes is stopped."""

    message_id: uuid.UUID


class QueueMove(Command, frozen=True, tag="queue.move"):
    """Moves a waiting message before another one of the same author; without `before`, behind the last of them."""

    message_id: uuid.UUID
    before: uuid.UUID | None = None


AnyQueueCommand = QueueEdit | QueueRemove | QueueSendNow | QueueMove

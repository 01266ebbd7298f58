"""The commands of one connection that change messages which wait for their turn."""

from __future__ import annotations

import functools
import uuid
from typing import Any, Final

from chat.protocol.commands import Position
from chat.protocol.queue import AnyQueueCommand, QueueEdit, QueueMove, QueueRemove, QueueSendNow
from chat.realtime.connection import Handlers, Reply
from chat.turns import going_on, waiting_line
from chat.turns.waiting_line import Queued

_CHANGES: Final[dict[type[AnyQueueCommand], Any]] = {
    QueueEdit: waiting_line.edit,
    QueueRemove: waiting_line.remove,
    QueueSendNow: waiting_line.send_now,
    QueueMove: waiting_line.move,
}


class WaitingLine:
    """Edits, removes, moves and sends messages that wait, and answers `ok`."""

    def __init__(self, user_id: uuid.UUID, *, reply: Reply) -> None:
        self._user_id = user_id
        self._reply = reply

    async def change(self, command: AnyQueueCommand) -> None:
        await going_on.change(functools.partial(_CHANGES[type(command)], self._user_id, command))
        self._reply({"type": "ok"}, command.ref)


def queued_reply(queued: Queued, position: Position) -> dict[str, Any]:
    """The answer to a message that waits; to a repeated command also one that was removed since."""
    return {
        "type": "message.accepted",
        "conversation_id": str(queued.conversation_id),
        "message_id": str(queued.message_id),
        "run_id": None,
        "queued": not queued.removed,
        "duplicate": queued.duplicate,
        "position": position,
    }


HANDLERS: Final[Handlers[WaitingLine]] = dict.fromkeys(_CHANGES, WaitingLine.change)

"""The commands of one connection that begin or stop an answer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from chat.protocol.commands import (
    AnswerChoose,
    AnyTurn,
    AudioInterrupt,
    MessageContinue,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    Position,
    RunStop,
)
from chat.realtime.connection import Handlers, Reply
from chat.realtime.subscriptions import Subscriptions
from chat.realtime.waiting_line import queued_reply
from chat.turns import choosing, stop
from chat.turns.accepted import Accepted
from chat.turns.going_on import submit_or_queue
from chat.turns.submit import Follow, submit
from chat.turns.waiting_line import Queued


class Turns:
    """Submits a user's messages, follows the conversations they are in, and stops answers."""

    def __init__(
        self, user_id: uuid.UUID, subscriptions: Subscriptions, *, reply: Reply, token_id: uuid.UUID | None = None
    ) -> None:
        self._user_id = user_id
        self._token_id = token_id  # of a program's socket: what it asks counts for its token
        self._subscriptions = subscriptions
        self._reply = reply

    async def submit(self, command: AnyTurn) -> None:
        """Submits a turn and answers `message.accepted`; the connection follows from just before the message.

        A connection that can follow no more conversations is refused before anything is written. A message that was
        accepted before is still answered `message.accepted`; its conversation is then not followed.
        """
        slot = self._subscriptions.slot()

        @asynccontextmanager
        async def join(accepted: Accepted | Queued) -> AsyncIterator[Follow]:
            async with slot.join(accepted.conversation_id) as follow:

                def reply_and_follow(position: Position) -> None:
                    self._reply(_reply_to(accepted, position), command.ref)
                    follow(position)

                yield reply_and_follow

        try:
            if isinstance(command, MessageSend):
                await submit_or_queue(self._user_id, command, check=slot.reserve, join=join, token_id=self._token_id)
            else:
                await submit(self._user_id, command, check=slot.reserve, join=join, token_id=self._token_id)
        finally:
            slot.release()

    async def choose(self, command: AnswerChoose) -> None:
        """Goes on with one of several answers side by side."""
        await choosing.choose(self._user_id, command.message_id)
        self._reply({"type": "ok"}, command.ref)

    async def stop(self, command: RunStop) -> None:
        await stop.stop(self._user_id, command.run_id)
        self._reply({"type": "ok"}, command.ref)

    async def interrupt(self, command: AudioInterrupt) -> None:
        """The user talked over the answer: it stops, and what was heard of it is kept."""
        await stop.interrupt(self._user_id, command.run_id, command.heard_chars)
        self._reply({"type": "ok"}, command.ref)


def _reply_to(accepted: Accepted | Queued, position: Position) -> dict[str, Any]:
    if isinstance(accepted, Queued):
        return queued_reply(accepted, position)
    reply: dict[str, Any] = {
        "type": "message.accepted",
        "conversation_id": str(accepted.conversation_id),
        "message_id": str(accepted.message_id),
        "run_id": str(accepted.asked_run_id) if accepted.asked_run_id else None,
        "duplicate": accepted.duplicate,
        "position": position,
    }
    if accepted.unnotified:
        reply["unnotified"] = True
    if accepted.several:
        reply["runs"] = [
            {"run_id": str(run.pk), "message_id": str(run.message_id), "model": run.model} for run in accepted.several
        ]
    return reply


HANDLERS: Final[Handlers[Turns]] = {
    MessageSend: Turns.submit,
    MessageEdit: Turns.submit,
    MessageRegenerate: Turns.submit,
    MessageContinue: Turns.submit,
    AnswerChoose: Turns.choose,
    RunStop: Turns.stop,
    AudioInterrupt: Turns.interrupt,
}

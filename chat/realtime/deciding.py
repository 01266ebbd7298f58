"""The command of one connection that decides about a call of a tool."""

from __future__ import annotations

import uuid
from typing import Final

from chat.protocol.deciding import ToolDecide
from chat.realtime.connection import Handlers, Reply
from chat.turns.deciding import decide_and_publish


class Deciding:
    """Allows and denies calls that wait, and answers `ok`."""

    def __init__(self, user_id: uuid.UUID, *, reply: Reply) -> None:
        self._user_id = user_id
        self._reply = reply

    async def decide(self, command: ToolDecide) -> None:
        await decide_and_publish(self._user_id, command)
        self._reply({"type": "ok"}, command.ref)


HANDLERS: Final[Handlers[Deciding]] = {ToolDecide: Deciding.decide}

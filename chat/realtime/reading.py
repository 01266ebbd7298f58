"""The commands of one connection by which a member reads: which branch they look at, and what they think of answers."""

from __future__ import annotations

from typing import Final

from accounts.auth.revocation import user_group
from accounts.lib.db import in_db
from chat.conversations.member_branches import notify_viewed, view_branch
from chat.conversations.rating import notify_rated, rate
from chat.protocol.reading import BranchView, MessageRate
from chat.realtime.connection import Connection, Handlers, Reply


class Reading:
    """Notes what the user looks at and how they rate answers; their other tabs show the same."""

    def __init__(self, connection: Connection, *, reply: Reply) -> None:
        self._connection = connection
        self._reply = reply

    async def view(self, command: BranchView) -> None:
        """The user looks at the branch with this message from now on."""
        viewed = await in_db(view_branch, self._connection.user_id, command.message_id)
        self._reply({"type": "ok"}, command.ref)
        await notify_viewed(viewed, user_group(self._connection.user_id), self._connection.connection_id)

    async def rate(self, command: MessageRate) -> None:
        """The user rates an answer, changes the rating, or takes it back."""
        rated = await in_db(rate, self._connection.user_id, command.message_id, command.value, command.note or "")
        self._reply({"type": "ok"}, command.ref)
        await notify_rated(rated)


HANDLERS: Final[Handlers[Reading]] = {BranchView: Reading.view, MessageRate: Reading.rate}

"""What one connection reports of its user: how far they have read, and whether the page is visible."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.notifications import visibility
from chat.notifications.marks import publish_marks
from chat.notifications.positions import move_position
from chat.protocol.errors import ChatError, NotFound
from chat.protocol.frames import encode
from chat.protocol.reading import Seen, Visible
from chat.realtime.connection import Connection, Fail, Handlers
from chat.realtime.subscriptions import Subscriptions

WRITE_SECONDS: Final = 1.0  # between two positions of one conversation; the newest one is kept meanwhile
END_SECONDS: Final = 2.0

logger = structlog.get_logger(__name__)


class Attention:
    """The read positions and the visibility of one connection. `fail` answers a command that was refused later."""

    def __init__(self, connection: Connection, subscriptions: Subscriptions, *, fail: Fail) -> None:
        self._connection = connection
        self._user_id = connection.user_id
        self._subscriptions = subscriptions
        self._fail = fail
        self._wanted: dict[uuid.UUID, Seen] = {}  # by conversation: what is to be written next
        self._writing: set[uuid.UUID] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def see(self, command: Seen) -> None:
        """Notes a position in a conversation that this connection follows. The first is written at once, then at most
        one a second.
        """
        conversation = command.conversation_id
        if conversation.bytes not in self._connection.cursors:
            raise NotFound
        self._wanted[conversation] = command
        if conversation not in self._writing:
            self._writing.add(conversation)
            self._connection.spawn(self._write_all(conversation))

    async def _write_all(self, conversation: uuid.UUID) -> None:
        try:
            while (command := self._wanted.pop(conversation, None)) is not None:
                await self._write(command)
                await asyncio.sleep(WRITE_SECONDS)
        finally:
            self._writing.discard(conversation)

    async def _write(self, command: Seen) -> None:
        conversation = command.conversation_id
        try:
            moved = await in_db(move_position, self._user_id, conversation, command.message_id)
            if moved is None:
                return
            if moved.announced:
                await self._announce(command)
            await publish_marks([conversation], self._user_id)
        except ChatError as error:
            self._fail(error, command.ref)
        except OUTAGE as error:
            logger.warning("read_position_not_written", error=type(error).__name__)

    async def _announce(self, command: Seen) -> None:
        """Tells whoever has the conversation open."""
        frame = {
            "type": "seen",
            "conversation_id": str(command.conversation_id),
            "user": {"id": str(self._user_id), "name": await self._subscriptions.name_in(command.conversation_id)},
            "message_id": str(command.message_id),
        }
        message = {
            "type": "ephemeral",
            "c": command.conversation_id.bytes,
            "from": self._connection.connection_id,
            "frame": encode(frame),
        }
        await store.channel_layer().group_send(store.group_name(command.conversation_id), message)

    async def show(self, command: Visible) -> None:
        """The client is visible from now on, or no more."""
        if command.visible and self._renewing is None:
            self._renewing = self._connection.spawn(self._renew())
        elif not command.visible and self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
            await visibility.hide(self._user_id, self._connection.connection_id)

    async def _renew(self) -> None:
        while True:
            with lasting("visibility_not_published"):
                await visibility.show(self._user_id, self._connection.connection_id)
            await asyncio.sleep(visibility.RENEW_SECONDS)

    async def end(self) -> None:
        """The connection has closed: writes the positions that wait. If a server is away, they are lost."""
        try:
            async with asyncio.timeout(END_SECONDS):
                if self._renewing is not None:
                    self._renewing.cancel()
                    await visibility.hide(self._user_id, self._connection.connection_id)
                while self._wanted:
                    await self._write(self._wanted.popitem()[1])
        except OUTAGE as error:
            logger.warning("read_position_not_written", error=type(error).__name__)


HANDLERS: Final[Handlers[Attention]] = {Seen: Attention.see, Visible: Attention.show}

"""The conversations one connection follows: subscribing, unsubscribing, typing, presence, and losing access."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from django.utils.translation import gettext as _

from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from chat.conversations.membership import Opened, member_of, open_conversation, open_conversations
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.eventlog.payloads import lengths_of
from chat.protocol.close_codes import Close
from chat.protocol.commands import Position, Subscribe, Typing, Unsubscribe
from chat.protocol.errors import NotFound, RateLimited
from chat.protocol.frames import encode
from chat.realtime.connection import Connection, Handlers, Reply
from chat.realtime.entry_queue import in_order
from chat.realtime.presence import Presence
from chat.realtime.together import Together
from chat.realtime.typing_limit import typing_room
from chat.telemetry import metrics

LEAVE_SECONDS: Final = 5.0  # for the presence entries of a connection that has closed
TYPING_SECONDS: Final = 1.0
MAX_SUBSCRIPTIONS: Final = 100  # of one connection

Opening = tuple[uuid.UUID, uuid.UUID]  # a user, and the conversation that they open

_slots = threading.Lock()  # held for microseconds; `Slot.reserve` runs on database threads

logger = structlog.get_logger(__name__)


async def _open_all(asked: list[Opening]) -> list[Opened | None]:
    return await in_db(open_conversations, asked)


_open: Final[Together[Opening, Opened | None]] = Together(_open_all)


class Subscriptions:
    """The subscriptions of one connection. `channel` is its name in the channel layer."""

    def __init__(self, connection: Connection, channel: str, *, reply: Reply) -> None:
        self.connection = connection
        self.user_id = connection.user_id
        self.channel = channel
        self.reply = reply
        self.layer = store.channel_layer()
        self.presence = Presence(self.user_id, connection.connection_id, self.show_present)
        self.joining = asyncio.Lock()
        self.reserved: Counter[bytes] = Counter()  # by conversation: see `Slot`
        self.removals: Counter[bytes] = Counter()  # by conversation: a subscription begun before must not complete
        self.last_typing = 0.0
        self.display_name = ""

    async def join(self, *groups: str) -> None:
        await self.layer.groups_add(groups, self.channel)

    async def leave(self, group: str) -> None:
        await self.layer.group_discard(group, self.channel)

    # --- the limit ----------------------------------------------------------------------------------------------

    def has_room(self, conversation: bytes) -> bool:
        """Whether the connection follows this conversation, or may follow one more."""
        cursors, reserved = self.connection.cursors, self.reserved
        if conversation in cursors or conversation in reserved:
            return True
        return len(cursors) + sum(1 for one in list(reserved) if one not in cursors) < MAX_SUBSCRIPTIONS

    def slot(self) -> Slot:
        """Reserves one subscription, once it is known for which conversation. To be released."""
        return Slot(self)

    # --- commands -----------------------------------------------------------------------------------------------

    async def subscribe(self, command: Subscribe) -> None:
        """Joins the conversation's group first and then reads from the client's position: no event is missed."""
        async with self.joining:
            slot = self.slot()
            try:
                async with in_order():
                    await self._subscribe(command, slot)
            except NotFound:
                metrics.resumes["denied"] += 1
                raise
            finally:
                slot.release()

    async def _subscribe(self, command: Subscribe, slot: Slot) -> None:
        conversation = command.conversation_id
        removals = self.removals[conversation.bytes]
        opened = await _open((self.user_id, conversation))
        if opened is None:
            raise NotFound
        slot.reserve(conversation)
        await self.join(store.group_name(conversation))
        with self.connection.held(conversation.bytes):
            reply, position, lengths = await self._read(command, opened.tip)
            if self.removals[conversation.bytes] != removals:
                await self.leave(store.group_name(conversation))
                raise NotFound
            metrics.resumes["recovered" if reply["recovered"] else "snapshot"] += 1
            self.connection.put(encode(reply))
            self.connection.follow(conversation.bytes, position, lengths=lengths)
        if opened.shared:
            await self.presence.enter(conversation, opened.name)

    async def _read(
        self, command: Subscribe, tip: uuid.UUID | None
    ) -> tuple[dict[str, Any], Position, dict[str, dict[str, int]]]:
        """The reply, the position to follow from, and the lengths of a snapshot's unfinished answers, by run."""
        conversation, position = command.conversation_id, command.position
        reply: dict[str, Any] = {"type": "subscribed", "ref": command.ref, "conversation_id": str(conversation)}
        if position is not None and (await store.read(conversation, position, limit=1)).entries is not None:
            reply |= {"recovered": True, "tip": str(tip) if tip else None, "position": position}
            return reply, position, {}
        state = await read_snapshot(conversation, self.user_id)
        snapshot = {"messages": state.messages, "runs": state.runs, "has_more": state.has_more}
        if state.queued:
            snapshot["queued"] = state.queued
        reply |= {"recovered": False, "tip": str(state.tip_id) if state.tip_id else None}
        reply |= {"position": state.position, "snapshot": snapshot}
        return reply, state.position, {run["run_id"]: lengths_of(run) for run in state.runs}

    async def unsubscribe(self, command: Unsubscribe) -> None:
        async with self.joining:
            self.connection.forget(command.conversation_id.bytes)
            await self.leave_conversation(command.conversation_id)
        self.reply({"type": "ok"}, command.ref)

    async def typing(self, command: Typing) -> None:
        """Publishes that the user types or speaks, at most once a second, in a conversation this connection follows."""
        if command.conversation_id.bytes not in self.connection.cursors:
            raise NotFound
        now = time.monotonic()
        if now - self.last_typing < TYPING_SECONDS:
            return
        self.last_typing = now
        if typing_room().try_acquire(command.conversation_id, now):
            return  # many type at once: each one's next sign comes soon
        frame: dict[str, Any] = {
            "type": "typing",
            "conversation_id": str(command.conversation_id),
            "user": {"id": str(self.user_id), "name": await self.name_in(command.conversation_id)},
        }
        if command.speaking:
            frame["speaking"] = True
        await self.layer.group_send(
            store.group_name(command.conversation_id),
            {
                "type": "ephemeral",
                "c": command.conversation_id.bytes,
                "from": self.connection.connection_id,
                "frame": encode(frame),
            },
        )

    async def name_in(self, conversation_id: uuid.UUID) -> str:
        """The name that the other members see. Raises `NotFound` if the user is no member."""
        if not self.display_name:
            member = await in_db(member_of, self.user_id, conversation_id, with_user=True)
            self.display_name = member.user.display_name
        return self.display_name

    # --- what others change -------------------------------------------------------------------------------------

    async def follow_dictated(self, message: dict[str, Any]) -> None:
        """A recording of this connection began a conversation: follows it from its first message on."""
        conversation = uuid.UUID(message["conversation_id"])
        async with self.joining:
            if conversation.bytes in self.connection.cursors:
                return
            await self.join(store.group_name(conversation))
            self.connection.put(message["frame"])
            self.connection.follow(conversation.bytes, Position(message["epoch"], message["seq"]))

    def remove_access(self, conversation: bytes) -> None:
        """The user is no longer a member. A connection that followed nothing else is closed."""
        self.removals[conversation] += 1
        if self.connection.forget(conversation):
            self.connection.spawn(self.leave_conversation(uuid.UUID(bytes=conversation)))
            if not self.connection.cursors:
                self.connection.close(Close.ACCESS_REMOVED)

    async def leave_conversation(self, conversation: uuid.UUID) -> None:
        await self.leave(store.group_name(conversation))
        await self.presence.leave(conversation)

    # --- presence -----------------------------------------------------------------------------------------------

    async def begin_presence(self, conversation_id: uuid.UUID) -> None:
        """The conversation has several members from now on: the others see that this user is here."""
        if conversation_id in self.presence.present:
            return
        try:
            name, shared, _tip = await in_db(open_conversation, self.user_id, conversation_id)
            if shared and conversation_id.bytes in self.connection.cursors:
                await self.presence.enter(conversation_id, name)
        except NotFound:
            return  # removed meanwhile
        except OUTAGE as error:
            logger.warning("presence_not_started", error=type(error).__name__)

    def show_present(self, conversation_id: uuid.UUID, frame: str) -> None:
        if conversation_id.bytes in self.connection.cursors:
            self.connection.put_ephemeral(frame)

    async def end_presence(self) -> None:
        """The connection has closed. If Redis is away, the entries expire."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.presence.leave_all()
        except OUTAGE as error:
            logger.warning("presence_not_removed", error=type(error).__name__)

    async def renew_presence(self) -> None:
        """To be called every `presence.RENEW_SECONDS`. An outage is only logged."""
        with lasting("presence_not_renewed"):
            await self.presence.renew()


class Slot:
    """A reserved subscription, so that commands carried out at the same time stay within the limit together."""

    __slots__ = ("_conversation", "_released", "_removals", "_subscriptions")

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._removals = subscriptions.removals.copy()
        self._conversation: bytes | None = None
        self._released = False

    def reserve(self, conversation: uuid.UUID) -> None:
        """Raises `RateLimited` if the connection may not follow one more conversation. Any thread may call it."""
        with _slots:
            if not self._subscriptions.has_room(conversation.bytes):
                raise RateLimited(
                    _("This connection already follows %(max_subscriptions)s conversations. Close one of them first.")
                    % {"max_subscriptions": MAX_SUBSCRIPTIONS}
                )
            if not self._released:  # otherwise the command has timed out meanwhile
                self._conversation = conversation.bytes
                self._subscriptions.reserved[conversation.bytes] += 1

    def release(self) -> None:
        """Ends the reservation, if there is one. Called twice, it does nothing the second time."""
        with _slots:
            self._released = True
            if self._conversation is not None:
                reserved = self._subscriptions.reserved
                reserved[self._conversation] -= 1
                if not reserved[self._conversation]:
                    del reserved[self._conversation]
                self._conversation = None

    @asynccontextmanager
    async def join(self, conversation: uuid.UUID) -> AsyncIterator[Callable[[Position], None]]:
        """Joins the conversation's group; the function it yields follows the conversation from a position on.

        Does nothing for a conversation that is followed already, or if there is no room and none was reserved.
        """
        subscriptions, key = self._subscriptions, conversation.bytes
        if self._conversation not in (None, key):
            self.release()  # of a conversation that was not begun, because the message was sent before
        async with subscriptions.joining:
            connection = subscriptions.connection
            wanted = key not in connection.cursors and subscriptions.has_room(key)
            if wanted:
                await subscriptions.join(store.group_name(conversation))

            def follow(position: Position) -> None:
                if wanted and subscriptions.removals[key] == self._removals[key]:
                    connection.follow(key, position)
                elif wanted:
                    connection.spawn(subscriptions.leave_conversation(conversation))

            yield follow


HANDLERS: Final[Handlers[Subscriptions]] = {
    Subscribe: Subscriptions.subscribe,
    Unsubscribe: Subscriptions.unsubscribe,
    Typing: Subscriptions.typing,
}

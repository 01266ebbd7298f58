"""The conversations that one socket follows: joining and leaving them, speaking in them, being seen in them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.conversations.membership import member_of, memberships, open_conversation
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.protocol.close_codes import Close
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend, Position, Subscribe, Typing, Unsubscribe
from chat.protocol.errors import NotFound, RateLimited
from chat.protocol.frames import encode
from chat.realtime.connection import Socket
from chat.realtime.presence import RENEW_SECONDS, Presence
from chat.telemetry import latency_marks, metrics
from chat.turns import submit

COMMAND_SECONDS: Final = 5.0  # until a command has an answer, come what may
TYPING_SECONDS: Final = 1.0
MAX_SUBSCRIPTIONS: Final = 100

Reply = Callable[[dict[str, Any], str | None], None]

logger = structlog.get_logger(__name__)


class Following:
    """What a socket does in conversations. `channel` is its name in the channel layer."""

    def __init__(self, socket: Socket, channel: str, *, reply: Reply) -> None:
        self.socket = socket
        self.user_id = socket.user_id
        self.channel = channel
        self.reply = reply
        self.layer = store.channel_layer()
        self.presence = Presence(self.user_id, socket.connection_id)
        self.joining = asyncio.Lock()
        self.removals: Counter[bytes] = Counter()  # by conversation: a `follow` that was on its way then must not be
        self.last_typing = 0.0
        self.display_name = ""

    async def join(self, group: str) -> None:
        await self.layer.group_add(group, self.channel)

    async def leave(self, group: str) -> None:
        await self.layer.group_discard(group, self.channel)

    async def subscribe(self, command: Subscribe) -> None:
        """Join, wait until the subscription is live, then read from the client's position: no event falls between."""
        async with self.joining:
            try:
                await self._subscribe(command)
            except NotFound:
                metrics.resumes["denied"] += 1
                raise

    async def _subscribe(self, command: Subscribe) -> None:
        conversation = command.conversation_id
        removals = self.removals[conversation.bytes]
        name, shared = await in_db(open_conversation, self.user_id, conversation)
        self.check_room(conversation)
        await self.join(store.group_name(conversation))
        reply: dict[str, Any] = {
            "type": "subscribed",
            "ref": command.ref,
            "conversation_id": str(conversation),
            "recovered": False,
        }
        lengths: dict[str, int] = {}
        position = command.position
        if position is not None and (await store.read(conversation, position, limit=1)).entries is not None:
            reply |= {"position": position, "recovered": True}
        else:
            state = await read_snapshot(conversation)
            position = state.position
            snapshot = {"messages": state.messages, "runs": state.runs, "has_more": state.has_more}
            reply |= {"position": position, "snapshot": snapshot}
            lengths = {run["run_id"]: run["text_length"] for run in state.runs}
        if self.removals[conversation.bytes] != removals:
            await self.leave(store.group_name(conversation))
            raise NotFound
        metrics.resumes["recovered" if reply["recovered"] else "snapshot"] += 1
        self.socket.put(encode(reply))
        self.socket.follow(conversation.bytes, position, lengths=lengths)
        if shared:
            await self.presence.enter(conversation, name)

    def check_room(self, conversation: uuid.UUID) -> None:
        if conversation.bytes not in self.socket.cursors and len(self.socket.cursors) >= MAX_SUBSCRIPTIONS:
            raise RateLimited(f"A socket can follow {MAX_SUBSCRIPTIONS} conversations at the most.")

    async def submit(self, command: MessageSend | MessageEdit | MessageRegenerate) -> None:
        """Send, edit or regenerate: rows and job first, then the news; the sender follows from just before it."""
        received = latency_marks.now()
        removals = self.removals.copy()
        accepted = await submit.submit(self.user_id, command)
        latency_marks.mark(accepted.run_id, "received", received)
        conversation = accepted.conversation_id
        async with self.joining:
            subscribed = conversation.bytes in self.socket.cursors
            if not subscribed:
                self.check_room(conversation)
                await self.join(store.group_name(conversation))
            appended = await submit.announce(accepted)
            if appended is not None and not appended.skipped:
                position = Position(appended.epoch, appended.seq - len(accepted.announcement))
            else:
                position = await store.before_message(conversation, accepted.message_id)
            self.reply(
                {
                    "type": "message.accepted",
                    "conversation_id": str(conversation),
                    "message_id": str(accepted.message_id),
                    "run_id": str(accepted.run_id),
                    "duplicate": accepted.duplicate,
                    "position": position,
                },
                command.ref,
            )
            if not subscribed and self.removals[conversation.bytes] == removals[conversation.bytes]:
                self.socket.follow(conversation.bytes, position)

    async def follow_sent(self, message: dict[str, Any]) -> None:
        """What was spoken here began a conversation: this socket follows it from its first message on."""
        conversation = uuid.UUID(message["conversation_id"])
        async with self.joining:
            if conversation.bytes in self.socket.cursors:
                return
            await self.join(store.group_name(conversation))
            self.socket.put(message["frame"])
            self.socket.follow(conversation.bytes, Position(message["epoch"], message["seq"]))

    async def typing(self, command: Typing) -> None:
        """Tells the others, at the most once a second. Only of a conversation this socket follows."""
        if command.conversation_id.bytes not in self.socket.cursors:
            raise NotFound
        now = time.monotonic()
        if now - self.last_typing < TYPING_SECONDS:
            return
        self.last_typing = now
        if not self.display_name:
            member = await in_db(member_of, self.user_id, command.conversation_id, with_user=True)
            self.display_name = member.user.display_name
        frame = {
            "type": "typing",
            "conversation_id": str(command.conversation_id),
            "user": {"id": str(self.user_id), "name": self.display_name},
        }
        await self.layer.group_send(
            store.group_name(command.conversation_id),
            {
                "type": "ephemeral",
                "c": command.conversation_id.bytes,
                "from": self.socket.connection_id,
                "frame": encode(frame),
            },
        )

    def remove_access(self, conversation: bytes) -> None:
        """The user is no longer a member. A socket that had nothing else open closes."""
        self.removals[conversation] += 1
        if self.socket.forget(conversation):
            self.socket.spawn(self.leave_conversation(uuid.UUID(bytes=conversation)))
            if not self.socket.cursors:
                self.socket.close(Close.ACCESS_REMOVED)

    async def check_access(self) -> None:
        """Lets go of conversations whose members the user is no longer among, should nobody have said so."""
        followed = [uuid.UUID(bytes=one) for one in self.socket.cursors]
        allowed = await in_db(memberships, self.user_id, followed) if followed else set()
        for one in followed:
            if one not in allowed:
                self.remove_access(one.bytes)

    async def unsubscribe(self, command: Unsubscribe) -> None:
        async with self.joining:
            self.socket.forget(command.conversation_id.bytes)
            await self.leave_conversation(command.conversation_id)
        self.reply({"type": "ok"}, command.ref)

    async def leave_conversation(self, conversation: uuid.UUID) -> None:
        await self.leave(store.group_name(conversation))
        await self.presence.leave(conversation)

    async def absent(self) -> None:
        """The connection is over; should Redis be away, the entries go by themselves."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await self.presence.leave_all()
        except OUTAGE as error:
            logger.warning("presence_not_left", error=type(error).__name__)

    async def renew_presence(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.presence.renew()
            except OUTAGE as error:
                logger.warning("presence_not_renewed", error=type(error).__name__)

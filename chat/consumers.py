"""The WebSocket consumer: a thin shell. A frame goes to `chat.protocol`, its command to one service, the result back.

Channels runs one handler at a time per connection and makes a thread hop before each, which would let a slow send hold
up a stop, and cost more than the event itself. So this consumer keeps Channels' interface but runs its own loop:
commands become tasks (four at a time per socket; a stop never waits), and log events come straight from the channel
layer into `chat.sockets` without a queue, a task or a thread between.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import django.db
import psycopg_pool
import redis
import structlog
from channels.consumer import AsyncConsumer

from accounts.rates import place_of
from accounts.revocation import session_group, was_revoked
from accounts.sessions import still_valid
from chat import catalog, limits, log, metrics, stamps, turns
from chat.db import in_db
from chat.errors import ChatError, Internal, NotFound, RateLimited, Unavailable
from chat.hub import hub
from chat.microphone import Microphone
from chat.notices import user_group
from chat.presence import RENEW_SECONDS, Presence
from chat.protocol import (
    HEARTBEAT_SECONDS,
    MAX_AUDIO_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL,
    WINDOW_BYTES,
    Ack,
    AnyCommand,
    AudioCancel,
    AudioFlush,
    AudioStart,
    AudioStop,
    Close,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    Ping,
    Pong,
    Position,
    RunStop,
    Subscribe,
    Typing,
    Unsubscribe,
    encode,
    parse_command,
    ref_of,
)
from chat.queries import member_of, open_conversation, read_snapshot
from chat.sockets import Socket

COMMANDS_AT_ONCE: Final = 4
COMMANDS_WAITING: Final = 32
COMMAND_SECONDS: Final = 5.0
MALFORMED_LIMIT: Final = 10  # within MALFORMED_SECONDS: 4400
MALFORMED_SECONDS: Final = 60.0
TYPING_SECONDS: Final = 1.0
REVALIDATE_SECONDS: Final = 300.0
MAX_SUBSCRIPTIONS: Final = 100

# Our side is away; the client may send the same command again.
OUTAGE: Final = (
    redis.RedisError,
    django.db.OperationalError,
    django.db.InterfaceError,
    psycopg_pool.PoolTimeout,
    TimeoutError,
    ConnectionError,
)

logger = structlog.get_logger(__name__)


class ChatConsumer(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
    """One browser tab, and every conversation it has open."""

    socket: Socket
    user_id: uuid.UUID

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.user_id = scope["user_id"]
        self.session_hash: str = scope["session_hash"]
        self.place = place_of((scope.get("client") or ("",))[0])
        self.frame_limit = limits.FrameLimit()
        self.socket = Socket(send, self.user_id, self.session_hash)
        # This task is the connection's own, and the tasks it starts inherit what is bound here.
        structlog.contextvars.bind_contextvars(connection=self.socket.connection_id, user=str(self.user_id))
        self.microphone = Microphone(self.socket, self.user_id, reply=self.reply, fail=self.error)
        self.presence = Presence(self.user_id, self.socket.connection_id)
        self.layer = log.channel_layer()
        self.groups: set[str] = set()
        self.joining = asyncio.Lock()
        self.slots = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self.waiting = 0
        self.malformed: deque[float] = deque(maxlen=MALFORMED_LIMIT)
        self.last_typing = 0.0
        self.display_name = ""
        await receive()  # websocket.connect
        self.channel: str = await self.layer.new_channel()
        hub().add(self.socket)
        try:
            if await self.open(send):
                while (message := await receive())["type"] != "websocket.disconnect":
                    self.on_frame(message.get("text"), message.get("bytes"))
                self.socket.closed = self.socket.closed or message.get("code") or 1006
        finally:
            hub().remove(self.socket)
            limits.connections().leave(self.socket.connection_id)
            await self.microphone.gone()
            await self.socket.gone()
            metrics.count_close(self.socket.closed or 1006)
            await self.absent()
            self.layer.release(self.channel)

    async def open(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> bool:
        """Joins the user's groups, then greets. The groups first: a session that ends meanwhile is not missed."""
        self.layer.attach(self.channel, self.on_layer)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                if not await limits.connections().enter(self.socket.connection_id, self.user_id, self.place):
                    await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
                    self.socket.close(Close.FLOOD)
                    return True
                await self.join(user_group(self.user_id))
                await self.join(session_group(self.session_hash))
                revoked = await was_revoked(self.user_id, self.session_hash)
                models = await in_db(catalog.offered_models)
        except OUTAGE as error:
            logger.warning("socket_not_opened", error=type(error).__name__)
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            self.socket.close(Close.GOING_AWAY)
            return True
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        if revoked:
            self.socket.close(Close.SESSION_ENDED)
        elif hub().draining:
            self.socket.close(Close.GOING_AWAY)
        else:
            self.socket.put(
                encode(
                    {
                        "type": "hello",
                        "protocol": PROTOCOL,
                        "connection_id": self.socket.connection_id,
                        "heartbeat_s": HEARTBEAT_SECONDS,
                        "limits": {
                            "text_bytes": MAX_TEXT_BYTES,
                            "audio_bytes": MAX_AUDIO_BYTES,
                            "window_bytes": WINDOW_BYTES,
                        },
                        "models": models,
                    }
                )
            )
            self.socket.spawn(self.revalidate())
            self.socket.spawn(self.renew_presence())
        return True

    async def join(self, group: str) -> None:
        await self.layer.group_add(group, self.channel)
        self.groups.add(group)

    async def leave(self, group: str) -> None:
        self.groups.discard(group)
        await self.layer.group_discard(group, self.channel)

    # --- from the layer -----------------------------------------------------------------------------------------

    def on_layer(self, message: dict[str, Any]) -> None:
        """A message of the channel layer, called by its reader: nothing here may wait."""
        kind = message["type"]
        if kind == "log.event":
            self.socket.on_event(message)
        elif kind == "notice":
            self.socket.put(message["frame"])
        elif kind == "ephemeral":
            if message["from"] != self.socket.connection_id and message["c"] in self.socket.cursors:
                self.socket.put_ephemeral(message["frame"])
        elif kind.startswith("recording."):
            self.microphone.on_layer(message)
            if kind == "recording.sent" and self.microphone.made(message):
                self.socket.spawn(self.follow_sent(message))
        elif kind == "session.ended":
            self.socket.close(Close.SESSION_ENDED)
        elif kind == "access.removed":
            self.remove_access(message["c"])
        elif kind == "layer.reset":
            self.socket.catch_up_all()
            self.socket.spawn(self.check_session())

    def remove_access(self, conversation: bytes) -> None:
        """The user is no longer a member. A socket that had nothing else open closes."""
        if self.socket.forget(conversation):
            self.socket.spawn(self.leave_conversation(uuid.UUID(bytes=conversation)))
            if not self.socket.cursors:
                self.socket.close(Close.ACCESS_REMOVED)

    async def leave_conversation(self, conversation: uuid.UUID) -> None:
        await self.leave(log.group_name(conversation))
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

    async def revalidate(self) -> None:
        """Asks PostgreSQL now and then whether the session still stands, should its end have been missed."""
        while True:
            await asyncio.sleep(REVALIDATE_SECONDS)
            await self.check_session()

    async def check_session(self) -> None:
        try:
            if not await in_db(still_valid, self.user_id, self.session_hash):
                self.socket.close(Close.SESSION_ENDED)
        except OUTAGE as error:
            logger.warning("session_not_checked", error=type(error).__name__)

    # --- from the client ----------------------------------------------------------------------------------------

    def on_frame(self, text: str | None, data: bytes | None) -> None:
        """One frame. Acks and pings are answered on the spot, everything else becomes a task."""
        metrics.counted.frames_received += 1
        if self.socket.closed is not None:
            return
        if wait := self.frame_limit.take():
            self.slow_down(limits.too_quick(wait), ref_of(text) if text is not None else None)
            return
        try:
            if text is None:
                self.microphone.on_bytes(data or b"")
                return
            command = parse_command(text)
        except ChatError as error:
            self.refuse(error, ref_of(text) if text is not None else None)
            return
        if isinstance(command, Ack):
            self.socket.ack(command.conversation_id.bytes, command.seq)
            return
        if isinstance(command, Pong):
            self.socket.pong()
            return
        if isinstance(command, Ping):
            self.reply({"type": "pong"}, command.ref)
            return
        self.socket.last_used = time.monotonic()
        if self.waiting >= COMMANDS_WAITING:
            self.slow_down(RateLimited("Too many commands wait for their answers.", retry_after=1), command.ref)
            return
        self.waiting += 1
        self.socket.spawn(self.run(command))

    def refuse(self, error: ChatError, ref: str | None) -> None:
        """A frame that is no command. The tenth within a minute ends the connection."""
        self.error(error, ref)
        now = time.monotonic()
        self.malformed.append(now)
        if len(self.malformed) == MALFORMED_LIMIT and now - self.malformed[0] < MALFORMED_SECONDS:
            self.socket.close(Close.MALFORMED)

    def slow_down(self, error: RateLimited, ref: str | None) -> None:
        """Too much at a time. Who does not listen is shut out."""
        self.error(error, ref)
        if self.frame_limit.is_flood():
            self.socket.close(Close.FLOOD)

    async def run(self, command: AnyCommand) -> None:
        """Carries out one command and answers it, whatever happens."""
        try:
            if isinstance(command, RunStop):
                await self.limited(command)
            else:
                async with self.slots:
                    await self.limited(command)
        except RateLimited as error:
            self.slow_down(error, command.ref)
        except ChatError as error:
            self.error(error, command.ref)
        except OUTAGE as error:
            logger.warning("command_failed", command=type(command).__name__, error=type(error).__name__)
            self.error(Unavailable(), command.ref)
        except Exception:
            logger.exception("command_crashed", command=type(command).__name__)
            self.error(Internal(), command.ref)
        finally:
            self.waiting -= 1

    async def limited(self, command: AnyCommand) -> None:
        with metrics.count_command(command):
            async with asyncio.timeout(COMMAND_SECONDS):
                await limits.take(limits.wanted_by(command, self.user_id, self.session_hash, self.place))
                await self.carry_out(command)

    async def carry_out(self, command: AnyCommand) -> None:
        if isinstance(command, MessageSend | MessageEdit | MessageRegenerate):
            await self.submit(command)
        elif isinstance(command, RunStop):
            await turns.stop(self.user_id, command.run_id)
            self.reply({"type": "ok"}, command.ref)
        elif isinstance(command, Subscribe):
            async with self.joining:
                await self.subscribe(command)
        elif isinstance(command, Unsubscribe):
            async with self.joining:
                self.socket.forget(command.conversation_id.bytes)
                await self.leave_conversation(command.conversation_id)
            self.reply({"type": "ok"}, command.ref)
        elif isinstance(command, Typing):
            await self.typing(command)
        elif isinstance(command, AudioStart | AudioFlush | AudioStop | AudioCancel):
            await self.microphone.carry_out(command)

    async def subscribe(self, command: Subscribe) -> None:
        """Join, wait until the subscription is live, then read from the client's position: no event falls between."""
        conversation = command.conversation_id
        name, shared = await in_db(open_conversation, self.user_id, conversation)
        self.check_room(conversation)
        await self.join(log.group_name(conversation))
        reply: dict[str, Any] = {
            "type": "subscribed",
            "ref": command.ref,
            "conversation_id": str(conversation),
            "recovered": False,
        }
        lengths: dict[str, int] = {}
        position = command.position
        if position is not None and (await log.read(conversation, position, limit=1)).entries is not None:
            reply |= {"position": position, "recovered": True}
        else:
            state = await read_snapshot(conversation)
            position = state.position
            snapshot = {"messages": state.messages, "runs": state.runs, "has_more": state.has_more}
            reply |= {"position": position, "snapshot": snapshot}
            lengths = {run["run_id"]: run["text_length"] for run in state.runs}
        self.socket.put(encode(reply))
        self.socket.follow(conversation.bytes, position, lengths=lengths)
        if shared:
            await self.presence.enter(conversation, name)

    def check_room(self, conversation: uuid.UUID) -> None:
        if conversation.bytes not in self.socket.cursors and len(self.socket.cursors) >= MAX_SUBSCRIPTIONS:
            raise RateLimited(f"A socket can follow {MAX_SUBSCRIPTIONS} conversations at the most.")

    async def submit(self, command: MessageSend | MessageEdit | MessageRegenerate) -> None:
        """Send, edit or regenerate: rows and job first, then the news; the sender follows from just before it."""
        received = stamps.now()
        accepted = await turns.submit(self.user_id, command)
        stamps.mark(accepted.run_id, "received", received)
        conversation = accepted.conversation_id
        async with self.joining:
            subscribed = conversation.bytes in self.socket.cursors
            if not subscribed:
                self.check_room(conversation)
                await self.join(log.group_name(conversation))
            appended = await turns.announce(accepted)
            if appended is not None and not appended.skipped:
                position = Position(appended.epoch, appended.seq - len(accepted.announcement))
            else:
                position = await log.before_message(conversation, accepted.message_id)
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
            if not subscribed:
                self.socket.follow(conversation.bytes, position)

    async def follow_sent(self, message: dict[str, Any]) -> None:
        """What was spoken here began a conversation: this socket follows it from its first message on."""
        conversation = uuid.UUID(message["conversation_id"])
        async with self.joining:
            if conversation.bytes in self.socket.cursors:
                return
            await self.join(log.group_name(conversation))
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
            log.group_name(command.conversation_id),
            {
                "type": "ephemeral",
                "c": command.conversation_id.bytes,
                "from": self.socket.connection_id,
                "frame": encode(frame),
            },
        )

    # --- replies ------------------------------------------------------------------------------------------------

    def reply(self, frame: dict[str, Any], ref: str | None) -> None:
        if ref is not None:
            frame["ref"] = ref
        self.socket.put(encode(frame))

    def error(self, error: ChatError, ref: str | None) -> None:
        metrics.errors[error.code] += 1
        frame: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message}
        if error.retry_after is not None:
            frame["retry_after"] = error.retry_after
        self.reply(frame, ref)

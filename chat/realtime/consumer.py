"""The WebSocket consumer: a thin shell. A frame goes to `chat.protocol`, its command to one service, the result back.

Channels runs one handler at a time per connection and makes a thread hop before each, which would let a slow send hold
up a stop, and cost more than the event itself. So this consumer keeps Channels' interface but runs its own loop:
commands become tasks (four at a time per socket; a stop never waits), and log events come straight from the channel
layer into `chat.realtime.connection` without a queue, a task or a thread between.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from channels.consumer import AsyncConsumer
from django.conf import settings

from accounts.auth.revocation import session_group, user_group, was_revoked
from accounts.auth.sessions import still_valid
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.rate_limit import network_of
from chat.catalog import presets
from chat.eventlog import store
from chat.protocol.close_codes import Close
from chat.protocol.commands import (
    Ack,
    AnyCommand,
    AnyTraced,
    AudioCancel,
    AudioFlush,
    AudioInterrupt,
    AudioStart,
    AudioStop,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    Ping,
    Pong,
    RunStop,
    Subscribe,
    Traced,
    Typing,
    Unsubscribe,
    parse_command,
    ref_of,
)
from chat.protocol.errors import ChatError, Internal, RateLimited, Unavailable
from chat.protocol.frames import encode
from chat.protocol.limits import HEARTBEAT_SECONDS, MAX_AUDIO_BYTES, MAX_TEXT_BYTES, PROTOCOL, WINDOW_BYTES
from chat.realtime import rate_limits
from chat.realtime.connection import Socket
from chat.realtime.delivery_trace import follow_delivery
from chat.realtime.microphone import Microphone
from chat.realtime.open_sockets import hub
from chat.realtime.subscriptions import COMMAND_SECONDS, Following
from chat.telemetry import metrics, tracing
from chat.turns import stop

COMMANDS_AT_ONCE: Final = 4
COMMANDS_WAITING: Final = 32
MALFORMED_LIMIT: Final = 10  # within MALFORMED_SECONDS: 4400
MALFORMED_SECONDS: Final = 60.0
REVALIDATE_SECONDS: Final = 300.0
RECHECK_SECONDS: Final = 5.0  # when PostgreSQL was away

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
        self.place = network_of((scope.get("client") or ("",))[0])
        self.frame_limit = rate_limits.FrameLimit()
        self.socket = Socket(send, self.user_id, self.session_hash)
        # This task is the connection's own, and the tasks it starts inherit what is bound here.
        structlog.contextvars.bind_contextvars(connection=self.socket.connection_id, user=str(self.user_id))
        named = {"antiphon.connection.id": self.socket.connection_id, "user.id": str(self.user_id)}
        self.life = tracing.start_span("socket", tracing.SpanKind.SERVER, parent="", attributes=named)
        self.microphone = Microphone(self.socket, self.user_id, reply=self.reply, fail=self.error)
        self.layer = store.channel_layer()
        self.slots = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self.waiting = 0
        self.malformed: deque[float] = deque(maxlen=MALFORMED_LIMIT)
        await receive()  # websocket.connect
        self.channel: str = await self.layer.new_channel()
        self.following = Following(self.socket, self.channel, reply=self.reply)
        hub().add(self.socket)
        try:
            if await self.open(send):
                while (message := await receive())["type"] != "websocket.disconnect":
                    self.on_frame(message.get("text"), message.get("bytes"))
                self.socket.closed = self.socket.closed or message.get("code") or 1006
        finally:
            hub().remove(self.socket)
            rate_limits.connections().leave(self.socket.connection_id)
            await self.microphone.gone()
            await self.socket.gone()
            metrics.count_close(self.socket.closed or 1006)
            await self.following.absent()
            self.layer.release(self.channel)
            self.life.set_attribute("antiphon.close.code", self.socket.closed or 1006)
            self.life.end()

    async def open(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> bool:
        """Joins the user's groups, then greets. The groups first: a session that ends meanwhile is not missed."""
        self.layer.attach(self.channel, self.on_layer)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                if not await rate_limits.connections().enter(self.socket.connection_id, self.user_id, self.place):
                    await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
                    metrics.denials["connections"] += 1
                    self.socket.close(Close.FLOOD)
                    return True
                await self.following.join(user_group(self.user_id))
                await self.following.join(session_group(self.session_hash))
                revoked = await was_revoked(self.user_id, self.session_hash)
                offers = await in_db(presets.offers, self.user_id)
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
                        **offers,
                        "traceparent": True,
                        "features": ["voice"] if settings.ASR_BACKENDS else [],
                    }
                )
            )
            self.socket.spawn(self.revalidate())
            self.socket.spawn(self.following.renew_presence())
        return True

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
                self.socket.spawn(self.following.follow_sent(message))
        elif kind == "session.ended":
            self.socket.close(Close.SESSION_ENDED)
        elif kind == "access.removed":
            self.following.remove_access(message["c"])
        elif kind == "layer.reset":
            self.socket.catch_up_all()
            self.socket.spawn(self.check_session())
        elif kind == "run.traced" and tracing.is_enabled():
            self.socket.spawn(follow_delivery(self.socket, self.life, message))

    async def revalidate(self) -> None:
        """Asks PostgreSQL now and then whether session and memberships still stand, should an end have been missed."""
        while True:
            await asyncio.sleep(REVALIDATE_SECONDS)
            await self.check_session()

    async def check_session(self) -> None:
        while True:
            try:
                if await in_db(still_valid, self.user_id, self.session_hash):
                    await self.following.check_access()
                else:
                    self.socket.close(Close.SESSION_ENDED)
            except OUTAGE as error:
                logger.warning("session_not_checked", error=type(error).__name__)
                await asyncio.sleep(RECHECK_SECONDS)
            else:
                return

    # --- from the client ----------------------------------------------------------------------------------------

    def on_frame(self, text: str | None, data: bytes | None) -> None:
        """One frame. Acks and pings are answered on the spot, everything else becomes a task."""
        metrics.counted.frames_received += 1
        if self.socket.closed is not None:
            return
        if wait := self.frame_limit.try_acquire():
            metrics.denials["frames"] += 1
            self.slow_down(rate_limits.too_quick(wait), ref_of(text) if text is not None else None)
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
            metrics.denials["waiting"] += 1
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
            if isinstance(command, RunStop | AudioInterrupt):
                await self.limited(command)
            elif isinstance(command, Traced):
                await self.trace(command)
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

    async def trace(self, command: AnyTraced) -> None:
        """Carries out a command that belongs to a trace: its log lines, its jobs and its run say which."""
        command = tracing.with_traceparent(command)
        structlog.contextvars.bind_contextvars(trace=tracing.trace_id(command.traceparent))
        name = str(command.__struct_config__.tag)
        with tracing.span(name, tracing.SpanKind.SERVER, parent=command.traceparent, by_client=True) as span:
            tracing.current.set(tracing.traceparent_of(span) or command.traceparent or "")
            tracing.add_link(span, self.life)
            tracing.add_link(self.life, span)
            async with self.slots:
                await self.limited(command)

    async def limited(self, command: AnyCommand) -> None:
        with metrics.count_command(command):
            async with asyncio.timeout(COMMAND_SECONDS):
                await rate_limits.acquire(rate_limits.limits_of(command, self.user_id, self.session_hash, self.place))
                await self.carry_out(command)

    async def carry_out(self, command: AnyCommand) -> None:
        if isinstance(command, MessageSend | MessageEdit | MessageRegenerate):
            await self.following.submit(command)
        elif isinstance(command, RunStop):
            await stop.stop(self.user_id, command.run_id)
            self.reply({"type": "ok"}, command.ref)
        elif isinstance(command, AudioInterrupt):
            await stop.interrupt(self.user_id, command.run_id, command.heard_chars)
            self.reply({"type": "ok"}, command.ref)
        elif isinstance(command, Subscribe):
            await self.following.subscribe(command)
        elif isinstance(command, Unsubscribe):
            await self.following.unsubscribe(command)
        elif isinstance(command, Typing):
            await self.following.typing(command)
        elif isinstance(command, AudioStart | AudioFlush | AudioStop | AudioCancel):
            await self.microphone.carry_out(command)

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

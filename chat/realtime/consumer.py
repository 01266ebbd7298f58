"""The WebSocket consumer: accepts, authenticates, reads, closes. Which part handles what stands in two tables below.

Channels runs one handler at a time per connection and changes threads before each, so a slow send would delay a stop,
and the change of threads costs more than an event itself. This consumer keeps Channels' interface but runs its own
loop: commands become tasks (`chat.realtime.command_runner`), and events of the log go from the channel layer straight
into `chat.realtime.connection`, without a queue, a task or a thread in between.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from channels.consumer import AsyncConsumer
from django.conf import settings
from django.utils import translation

from accounts.auth import resuming
from accounts.auth.revocation import session_group, user_group, was_revoked
from accounts.lib.outage import OUTAGE
from accounts.lib.rate_limit import is_this_machine, network_of
from chat.eventlog import store
from chat.protocol.close_codes import Close
from chat.protocol.commands import AnyCommand, AudioInterrupt, Command
from chat.protocol.frames import encode
from chat.protocol.limits import PROTOCOL
from chat.realtime import (
    attention,
    deciding,
    greeting,
    microphone,
    rate_limits,
    reading,
    speaking,
    subscriptions,
    turns,
    waiting_line,
)
from chat.realtime.attention import Attention
from chat.realtime.command_runner import CommandRunner
from chat.realtime.command_time import CommandTime
from chat.realtime.connection import Connection, Handlers, Part
from chat.realtime.deciding import Deciding
from chat.realtime.delivery_trace import follow_delivery
from chat.realtime.entry_queue import in_order
from chat.realtime.maintenance import check_maintenance
from chat.realtime.microphone import Microphone
from chat.realtime.open_sockets import open_sockets
from chat.realtime.reading import Reading
from chat.realtime.speaking import Speaking
from chat.realtime.subscriptions import Subscriptions
from chat.realtime.turns import Turns
from chat.realtime.upkeep import upkeep
from chat.realtime.waiting_line import WaitingLine
from chat.telemetry import metrics, tracing

logger = structlog.get_logger(__name__)


class ChatConsumer(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
    """One WebSocket: a browser tab with every conversation it has open."""

    connection: Connection
    user_id: uuid.UUID
    ticket = ""  # the one that was handed over for the page's next socket

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.user_id = scope["user_id"]
        self.session_hash: str = scope["session_hash"]
        # Sentences of errors are in the page's language: this task's own, and inherited by those that it starts.
        translation.activate(scope.get("language") or settings.LANGUAGE_CODE)
        self.address = network_of((scope.get("client") or ("",))[0])
        self.connection = Connection(send, self.user_id, self.session_hash)
        # This task is the connection's own, and the tasks it starts inherit what is bound here.
        structlog.contextvars.bind_contextvars(connection=self.connection.connection_id, user=str(self.user_id))
        named = {"antiphon.connection.id": self.connection.connection_id, "user.id": str(self.user_id)}
        self.span = tracing.start_span("socket", tracing.SpanKind.SERVER, parent="", attributes=named)
        self.commands = CommandRunner(
            self.connection,
            self.address,
            self.span,
            carry_out=self.carry_out,
            on_audio=self.on_audio,
            frame_limit=scope.get("frame_limit"),
            is_shared=lambda conversation: conversation in self.subscriptions.presence.present,
        )
        reply, fail = self.commands.reply, self.commands.error
        self.microphone = Microphone(
            self.connection, self.user_id, "" if is_this_machine(self.address) else self.address, reply=reply, fail=fail
        )
        self.speaking = Speaking(self.connection, reply=reply, fail=fail)
        self.layer = store.channel_layer()
        await receive()  # websocket.connect
        self.channel: str = await self.layer.new_channel()
        self.subscriptions = Subscriptions(self.connection, self.channel, reply=reply)
        token_id = None if self.scope.get("is_page", True) else uuid.UUID(hex=self.session_hash)
        self.turns = Turns(self.user_id, self.subscriptions, reply=reply, token_id=token_id)
        self.waiting_line = WaitingLine(self.user_id, reply=reply)
        self.deciding = Deciding(self.user_id, reply=reply)
        self.reading = Reading(self.connection, reply=reply)
        self.attention = Attention(self.connection, self.subscriptions, fail=fail)
        open_sockets().add(self.connection)
        upkeep().add(self.subscriptions)
        try:
            await self.open(send)
            while (message := await receive())["type"] != "websocket.disconnect":
                self.commands.on_frame(message.get("text"), message.get("bytes"))
            self.connection.closed = self.connection.closed or message.get("code") or 1006
        finally:
            await self.close()

    async def open(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Accepts, then greets or closes. Joins the user's groups first, so that no end of the session is missed."""
        self.layer.attach(self.channel, self.on_layer)
        offers: dict[str, Any] = {}
        refusal: Close | None = None
        try:
            async with CommandTime(ChatConsumer), in_order():
                counts = rate_limits.connection_counts()
                if not await counts.enter(self.connection.connection_id, self.user_id, self.address):
                    metrics.denials["connections"] += 1
                    refusal = Close.FLOOD
                else:
                    await self.subscriptions.join(user_group(self.user_id), session_group(self.session_hash))
                    if await was_revoked(self.user_id, self.session_hash):
                        refusal = Close.SESSION_ENDED
                    may_not, offers = await self.greeting()
                    refusal = refusal or may_not
        except OUTAGE as error:
            logger.warning("socket_not_opened", error=type(error).__name__)
            refusal = Close.GOING_AWAY
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        if refusal is None and open_sockets().draining:
            refusal = Close.GOING_AWAY
        if refusal is not None:
            self.connection.close(refusal)
        # What arrived for the user meanwhile, such as the news of another tab, follows the greeting.
        self.connection.begin(encode(greeting.hello(self.connection.connection_id, offers)))
        if self.connection.closed is not None:
            return

    async def greeting(self) -> tuple[Close | None, dict[str, Any]]:
        """Why the socket is not opened, if a resumed one is not; and what `hello` offers this user."""
        language = self.scope.get("language") or settings.LANGUAGE_CODE
        asked = greeting.Asked(self.user_id, self.session_hash, language, self.scope.get("resumes", False))
        refusal, offers, resumable = await greeting.greet(asked)
        if refusal is None and resumable and self.scope.get("is_page"):
            self.ticket = await resuming.hand_over(self.user_id, self.session_hash, self.scope["language"])
            offers |= {"resume": self.ticket} if self.ticket else {}
        return refusal, offers

    async def close(self) -> None:
        """The socket has closed: ends and releases everything that belongs to it."""
        open_sockets().remove(self.connection)
        upkeep().remove(self.subscriptions)
        rate_limits.connection_counts().leave(self.connection.connection_id)
        await self.microphone.end()
        await self.speaking.stop_speech()
        await self.connection.end()
        await self.attention.end()
        metrics.count_close(self.connection.closed or 1006)
        await self.subscriptions.end_presence()
        self.layer.release(self.channel)
        if self.ticket and self.connection.closed in (1000, 1001, Close.SESSION_ENDED):
            await resuming.withdraw(self.ticket)  # the page has gone, or may not come back
        self.span.set_attribute("antiphon.close.code", self.connection.closed or 1006)
        self.span.end()

    # --- from the client ----------------------------------------------------------------------------------------

    async def carry_out(self, command: AnyCommand) -> None:
        await check_maintenance(command, self.user_id)
        if isinstance(command, AudioInterrupt):
            await self.speaking.stop_speech("interrupted")
        await HANDLERS[type(command)](self, command)

    def on_audio(self, data: bytes) -> None:
        self.microphone.on_bytes(data)

    # --- from the channel layer ---------------------------------------------------------------------------------

    def on_layer(self, message: dict[str, Any]) -> None:
        """A message of the channel layer, called by its reader: nothing here may wait."""
        kind = message["type"]
        if kind == "log.event":  # one per token: not through the table
            self.connection.on_event(message)
        elif (handle := LAYER_HANDLERS.get(kind)) is not None:
            handle(self, message)

    def on_notice(self, message: dict[str, Any]) -> None:
        self.connection.put(message["frame"])

    def on_ephemeral(self, message: dict[str, Any]) -> None:
        if message["from"] != self.connection.connection_id and message["c"] in self.connection.cursors:
            self.connection.put_ephemeral(message["frame"])

    def on_recording(self, message: dict[str, Any]) -> None:
        self.microphone.on_layer(message)

    def on_recording_sent(self, message: dict[str, Any]) -> None:
        if self.microphone.is_recording(message):
            self.connection.spawn(self.subscriptions.follow_dictated(message))

    def on_session_ended(self, _: dict[str, Any]) -> None:
        self.connection.close(Close.SESSION_ENDED)

    def on_access_check(self, _: dict[str, Any]) -> None:
        """A message that ends something could not be sent in time (`accounts.auth.later_checks`)."""
        upkeep().check_soon(self.subscriptions)

    def on_access_removed(self, message: dict[str, Any]) -> None:
        self.subscriptions.remove_access(message["c"])

    def on_sharing_begun(self, message: dict[str, Any]) -> None:
        if message["c"] in self.connection.cursors:
            self.connection.spawn(self.subscriptions.begin_presence(uuid.UUID(bytes=message["c"])))

    def on_layer_reset(self, _: dict[str, Any]) -> None:
        self.connection.catch_up_all()
        upkeep().check_soon(self.subscriptions)

    def on_run_traced(self, message: dict[str, Any]) -> None:
        if tracing.is_enabled():
            self.connection.spawn(follow_delivery(self.connection, self.span, message))


Handler = Callable[[ChatConsumer, Any], Awaitable[None]]


def _by(part: Callable[[ChatConsumer], Part], handlers: Handlers[Part]) -> dict[type[Command], Handler]:
    """The handlers of one part of a connection, to be called with the consumer."""

    def of(handle: Callable[[Part, Any], Awaitable[None]]) -> Handler:
        return lambda consumer, command: handle(part(consumer), command)

    return {kind: of(handle) for kind, handle in handlers.items()}


# Each part registers its own commands. `CommandRunner` handles ack, ping, pong and deltas itself.
HANDLERS: Final[dict[type[Command], Handler]] = (
    _by(lambda consumer: consumer.turns, turns.HANDLERS)
    | _by(lambda consumer: consumer.waiting_line, waiting_line.HANDLERS)
    | _by(lambda consumer: consumer.deciding, deciding.HANDLERS)
    | _by(lambda consumer: consumer.subscriptions, subscriptions.HANDLERS)
    | _by(lambda consumer: consumer.reading, reading.HANDLERS)
    | _by(lambda consumer: consumer.attention, attention.HANDLERS)
    | _by(lambda consumer: consumer.microphone, microphone.HANDLERS)
    | _by(lambda consumer: consumer.speaking, speaking.HANDLERS)
)

LAYER_HANDLERS: Final[dict[str, Callable[[ChatConsumer, dict[str, Any]], None]]] = {
    "notice": ChatConsumer.on_notice,
    "ephemeral": ChatConsumer.on_ephemeral,
    "session.ended": ChatConsumer.on_session_ended,
    "access.removed": ChatConsumer.on_access_removed,
    "access.check": ChatConsumer.on_access_check,
    "sharing.begun": ChatConsumer.on_sharing_begun,
    "layer.reset": ChatConsumer.on_layer_reset,
    "run.traced": ChatConsumer.on_run_traced,
    "recording.sent": ChatConsumer.on_recording_sent,
    **dict.fromkeys(microphone.LAYER_HANDLERS, ChatConsumer.on_recording),
}

"""Reads the frames of one connection and carries out their commands, under the limits, each with exactly one answer.

Commands become tasks, four at a time per connection. Stopping an answer waits for none of them. Acks and pings are
handled at once.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from django.utils.translation import gettext as _

from accounts.lib.outage import OUTAGE
from chat.protocol.close_codes import Close
from chat.protocol.commands import (
    Ack,
    AnyCommand,
    AnyTraced,
    AudioInterrupt,
    Command,
    Deltas,
    Named,
    Ping,
    Pong,
    RunStop,
    Traced,
    named,
    names_of,
    parse_command,
)
from chat.protocol.errors import ChatError, Internal, Moderated, RateLimited, Unavailable
from chat.protocol.frames import encode
from chat.protocol.limits import COUNTED_FRAME_BYTES
from chat.protocol.speaking import SpeechStop
from chat.realtime import rate_limits
from chat.realtime.command_time import CommandTime
from chat.realtime.connection import Connection
from chat.telemetry import metrics, tracing

COMMANDS_AT_ONCE: Final = 4
COMMANDS_WAITING: Final = 32
MALFORMED_LIMIT: Final = 10  # within MALFORMED_SECONDS: closed with 4400
MALFORMED_SECONDS: Final = 60.0

logger = structlog.get_logger(__name__)


class CommandRunner:
    """The incoming half of a connection. `carry_out` and `on_audio` are the consumer's.

    `frame_limit`: the server's for this connection, under which it counts control frames too. `is_shared`: whether the
    connection follows this conversation, and it has several members.
    """

    def __init__(
        self,
        connection: Connection,
        address: str,
        connection_span: tracing.Span,
        *,
        carry_out: Callable[[AnyCommand], Awaitable[None]],
        on_audio: Callable[[bytes], None],
        frame_limit: rate_limits.FrameLimit | None = None,
        is_shared: Callable[[uuid.UUID], bool] = lambda _: False,
    ) -> None:
        self.connection = connection
        self._address = address
        self._span = connection_span
        self._carry_out = carry_out
        self._on_audio = on_audio
        self._is_shared = is_shared
        self._frame_limit = frame_limit or rate_limits.FrameLimit()
        self._slots = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._waiting = 0
        self._malformed: list[float] = []  # when the last ones came, up to MALFORMED_LIMIT

    def on_frame(self, text: str | None, data: bytes | None) -> None:
        """Handles one frame: at once, or by starting a task for its command."""
        metrics.counted.frames_received += 1
        if self.connection.closed is not None:
            return
        if wait := self._frame_limit.try_acquire(1 + len(text or data or "") // COUNTED_FRAME_BYTES):
            metrics.denials["frames"] += 1
            self._slow_down(rate_limits.rate_limited(wait), names_of(text))
            return
        try:
            if text is None:
                self._on_audio(data or b"")
                return
            command = parse_command(text)
        except ChatError as error:
            self._refuse(error, names_of(text))
            return
        at_once = AT_ONCE.get(type(command))
        if at_once is not None:
            at_once(self, command)
            return
        self.connection.last_used = time.monotonic()
        if self._waiting >= COMMANDS_WAITING:
            metrics.denials["waiting"] += 1
            self._slow_down(RateLimited(_("Too many commands are waiting. Try again."), retry_after=1), named(command))
            return
        self._waiting += 1
        self.connection.spawn(self._run(command))

    # --- handled at once ----------------------------------------------------------------------------------------

    def ack(self, command: Ack) -> None:
        self.connection.ack(command.conversation_id.bytes, command.seq)

    def pong(self, _: Pong) -> None:
        self.connection.pong()

    def ping(self, command: Ping) -> None:
        self.reply({"type": "pong"}, command.ref)

    def deltas(self, command: Deltas) -> None:
        self.connection.shorten(on=command.short)

    # --- limits -------------------------------------------------------------------------------------------------

    def _refuse(self, error: ChatError, names: Named) -> None:
        """Answers a frame that is not a command. The tenth within a minute closes the connection."""
        self.refuse(error, names)
        now = time.monotonic()
        self._malformed = [*self._malformed[1 - MALFORMED_LIMIT :], now]
        if len(self._malformed) == MALFORMED_LIMIT and now - self._malformed[0] < MALFORMED_SECONDS:
            self.connection.close(Close.MALFORMED)

    def _slow_down(self, error: RateLimited, names: Named) -> None:
        """Answers a command over a limit. A client that is told too often is disconnected."""
        self.refuse(error, names)
        if self._frame_limit.is_flood():
            self.connection.close(Close.FLOOD)

    # --- commands -----------------------------------------------------------------------------------------------

    async def _run(self, command: AnyCommand) -> None:
        """Carries out one command and answers it, whatever happens."""
        try:
            if isinstance(command, RunStop | AudioInterrupt | SpeechStop):
                await self._limited(command)
            elif isinstance(command, Traced):
                await self._traced(command)
            else:
                async with self._slots:
                    await self._limited(command)
        except RateLimited as error:
            self._slow_down(error, named(command))
        except ChatError as error:
            self.refuse(error, named(command))
        except OUTAGE as error:
            logger.warning("command_failed", command=type(command).__name__, error=type(error).__name__)
            self.refuse(Unavailable(), named(command))
        except Exception:
            logger.exception("command_crashed", command=type(command).__name__)
            self.refuse(Internal(), named(command))
        finally:
            self._waiting -= 1

    async def _traced(self, command: AnyTraced) -> None:
        """Carries out a command within its trace, which its log lines, its jobs and its run then name."""
        command = tracing.with_traceparent(command)
        structlog.contextvars.bind_contextvars(trace=tracing.trace_id(command.traceparent))
        name = str(command.__struct_config__.tag)
        with tracing.span(name, tracing.SpanKind.SERVER, parent=command.traceparent, by_client=True) as span:
            tracing.current.set(tracing.traceparent_of(span) or command.traceparent or "")
            tracing.add_link(span, self._span)
            tracing.add_link(self._span, span)
            async with self._slots:
                await self._limited(command)

    async def _limited(self, command: AnyCommand) -> None:
        with metrics.count_command(command):
            async with CommandTime(type(command)):
                user_id, session = self.connection.user_id, self.connection.session_hash
                limits = rate_limits.limits_of(command, user_id, session, self._address, self._is_shared)
                await rate_limits.acquire(limits)
                await self._carry_out(command)

    # --- replies ------------------------------------------------------------------------------------------------

    def reply(self, frame: dict[str, Any], ref: str | None) -> None:
        """Sends the answer to a command."""
        if ref is not None:
            frame["ref"] = ref
        self.connection.put(encode(frame))

    def error(self, error: ChatError, ref: str | None) -> None:
        """Sends an error frame; without a `ref` it belongs to no command."""
        self.refuse(error, Named(ref))

    def refuse(self, error: ChatError, names: Named) -> None:
        """Sends an error frame to whoever sent the frame with these names."""
        metrics.errors[error.code] += 1
        frame: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message}
        if names.client_id is not None:
            frame["client_id"] = names.client_id
        if isinstance(error, Moderated) and error.case_id is not None:
            frame["case_id"] = str(error.case_id)
        if error.retry_after is not None:
            frame["retry_after"] = error.retry_after
        self.reply(frame, names.ref)


AT_ONCE: Final[dict[type[Command], Callable[[CommandRunner, Any], None]]] = {
    Ack: CommandRunner.ack,
    Deltas: CommandRunner.deltas,
    Ping: CommandRunner.ping,
    Pong: CommandRunner.pong,
}

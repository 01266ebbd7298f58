"""Daphne's WebSocket protocol with a limit on buffered bytes, and with direct writes to the socket.

Once `MAX_BUFFERED_BYTES` are buffered, the next frame aborts the connection (1006); the ack window (docs/protocol.md
§3) keeps a well-behaved client far below that. A single frame may be larger, such as the end of a very long answer.

A client has `CLOSE_SECONDS` to answer the server's close frame. Autobahn's own second is too short: the connection is
reset then, and with it what the client has not read yet. On a slow line that is the close frame itself, so the page
sees 1006 instead of the code that says why.

Pings, pongs and fragments count under the limit of frames (`RATE_FRAMES`), together with the messages that the consumer
counts: answering them costs this process as much.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import autobahn.twisted.websocket
import autobahn.websocket.protocol
import structlog
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chat.protocol.close_codes import Close
from chat.realtime.rate_limits import FrameLimit
from chat.telemetry import metrics
from config.web.direct_writes import buffered, write_directly

CONTINUATION: Final = 0  # opcodes of RFC 6455 §5.2: this, and those from PING on, are frames without a message
PING: Final = 9
CLOSE_SECONDS: Final = 5.0
MAX_BUFFERED_BYTES: Final = 768 * 1024  # per connection, in this process; without the kernel's buffers

counted: Counter[str] = Counter()
logger = structlog.get_logger(__name__)


def _as_it_is(value: Any) -> Any:
    return value


# Autobahn puts colours into what its debug log would say, at each read and at each connection, and prints all options
# of each connection: a twentieth of the CPU that a socket takes to open, for lines that are never written. The log
# formats what it is given when it writes a line.
_modules: tuple[Any, ...] = (autobahn.websocket.protocol, autobahn.twisted.websocket)
for _module in _modules:
    _module.hltype = _module.hlval = _as_it_is
_modules[0].pformat = repr


class DirectProtocol(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """One WebSocket connection."""

    frame_limit: FrameLimit
    refused_frame = False  # the frame being read is over the limit
    flooded = False  # the connection is being closed for its frames; what else it sends is not read

    maxMessagePayloadSize: int  # noqa: N815 -- Autobahn's; of messages that come in, set by the factory

    def onConnect(self, request: Any) -> Any:  # noqa: N802 -- Autobahn's
        """Daphne's own, which decodes subprotocols as ASCII. Others are none of ours: the upgrade is refused (403)."""
        self.frame_limit = FrameLimit()
        offered = request.headers.get("sec-websocket-protocol", "")
        if not offered.isascii():
            request.headers["sec-websocket-protocol"] = ""
        return super().onConnect(request)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's
        if not self.flooded:
            super().dataReceived(data)

    def onFrameBegin(self) -> None:  # noqa: N802 -- Autobahn's
        super().onFrameBegin()
        opcode = self.current_frame.opcode
        if opcode == CONTINUATION or opcode >= PING:
            self.refused_frame = self.frame_limit.try_acquire() > 0
            if self.refused_frame:
                metrics.denials["frames"] += 1
                self.flooded = self.frame_limit.is_flood()

    def onFrameEnd(self) -> bool | None:  # noqa: N802 -- Autobahn's
        """Autobahn's own; False ends the reading of what has arrived."""
        if not self.flooded:
            proceed: bool | None = super().onFrameEnd()
            return proceed
        logger.warning("socket_flooded", client=self.client_addr)
        self.sendClose(code=int(Close.FLOOD))
        return False

    def onPing(self, payload: bytes) -> None:  # noqa: N802 -- Autobahn's
        """Answers a ping that is within the limit."""
        if not self.refused_frame:
            super().onPing(payload)

    def sendMessage(self, payload: bytes, *args: Any, **options: Any) -> None:  # noqa: N802 -- Autobahn's
        """Autobahn's own, without the limit on received messages: the end of a long answer exceeds it. A connection
        that closes takes nothing more; the application has yet to learn of that.
        """
        if self.state != self.STATE_OPEN:
            return
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, *args, **options)
        finally:
            self.maxMessagePayloadSize = limit

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: N802 -- Autobahn's
        transport = self.transport
        if sync or chopsize or self.send_queue or not hasattr(transport, "_tempDataLen"):
            super().sendData(data, sync, chopsize)
            return
        waiting = buffered(transport)
        if waiting > MAX_BUFFERED_BYTES:
            counted["overflow"] += 1
            metrics.counted.cut += 1
            logger.warning("socket_overflow", client=self.client_addr, bytes=waiting)
            transport.abortConnection()
        else:
            write_directly(transport, data)


class DirectFactory(WebSocketFactory):  # type: ignore[misc]  # as above
    """Creates `DirectProtocol`s."""

    protocol = DirectProtocol

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.setProtocolOptions(closeHandshakeTimeout=CLOSE_SECONDS)

"""Daphne's WebSocket protocol with a limit on buffered bytes, and with direct writes to the socket.

Twisted buffers a write and waits for the reactor to report the socket as writable: two system calls and two callbacks
per frame. A socket without buffered data nearly always accepts a frame at once, so that is tried first, as asyncio's
transports do. The rest is buffered by Twisted. Once `MAX_BUFFERED_BYTES` are buffered, the next frame aborts the
connection (1006); the ack window (docs/protocol.md §3) keeps a well-behaved client far below that. A single frame may
be larger, such as the end of a very long answer.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import structlog
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chat.telemetry import metrics

MAX_BUFFERED_BYTES: Final = 768 * 1024  # per connection, in this process; without the kernel's buffers

counted: Counter[str] = Counter()
logger = structlog.get_logger(__name__)


class DirectProtocol(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """One WebSocket connection."""

    maxMessagePayloadSize: int  # noqa: N815 -- Autobahn's; of messages that come in, set by the factory

    def sendMessage(self, payload: bytes, *args: Any, **options: Any) -> None:  # noqa: N802 -- Autobahn's
        """Autobahn's own, without the limit on received messages: the end of a long answer exceeds it."""
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
        elif waiting or not transport.connected or transport.disconnecting:
            transport.write(data)
        else:
            try:
                sent = transport.socket.send(data)
            except OSError:  # full or closed: the reactor finds out which
                sent = 0
            if sent < len(data):
                transport.write(data[sent:])


class DirectFactory(WebSocketFactory):  # type: ignore[misc]  # as above
    """Creates `DirectProtocol`s."""

    protocol = DirectProtocol


def buffered(transport: Any) -> int:
    """Bytes in Twisted's buffer that the kernel has not accepted (twisted.internet.abstract.FileDescriptor)."""
    waiting: int = len(transport.dataBuffer) - transport.offset
    return waiting + int(transport._tempDataLen)  # noqa: SLF001 -- Twisted has no public name for it

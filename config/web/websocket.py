"""Daphne's WebSocket protocol with two things it lacks: a bound on what a client that never reads makes us hold, and
writes that go straight to the socket.

Twisted buffers a write and asks the reactor to call back when the socket takes it: two system calls and two callbacks
around each frame. A socket that has nothing waiting nearly always takes a frame at once, so we try that first, as
asyncio's own transports do. What it does not take waits in Twisted's buffer; with `MAX_BUFFERED_BYTES` waiting, the
next frame cuts the connection (1006): the ack window (docs/protocol.md §3) keeps a well-behaved client far below. One
frame alone may be larger, as the end of a very long answer is.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import structlog
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chat.telemetry import metrics

MAX_BUFFERED_BYTES: Final = 768 * 1024  # of one connection, in our memory; the kernel's buffers come on top

counted: Counter[str] = Counter()
log = structlog.get_logger(__name__)


class DirectProtocol(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """One WebSocket connection."""

    maxMessagePayloadSize: int  # noqa: N815 -- Autobahn's; of messages that come in, set by the factory

    def sendMessage(self, payload: bytes, *args: Any, **options: Any) -> None:  # noqa: N802 -- Autobahn's
        """Autobahn's own, without the limit on messages that come in: the end of a long answer is larger than those."""
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
            log.warning("socket_overflow", client=self.client_addr, bytes=waiting)
            transport.abortConnection()
        elif waiting or not transport.connected or transport.disconnecting:
            transport.write(data)
        else:
            try:
                sent = transport.socket.send(data)
            except OSError:  # full, or broken: the reactor finds out which
                sent = 0
            if sent < len(data):
                transport.write(data[sent:])


class DirectFactory(WebSocketFactory):  # type: ignore[misc]  # as above
    """Makes `DirectProtocol`s."""

    protocol = DirectProtocol


def buffered(transport: Any) -> int:
    """Bytes that Twisted's transport holds and the kernel has not taken (twisted.internet.abstract.FileDescriptor)."""
    waiting: int = len(transport.dataBuffer) - transport.offset
    return waiting + int(transport._tempDataLen)  # noqa: SLF001 -- Twisted has no public name for it

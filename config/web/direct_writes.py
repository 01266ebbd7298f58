"""Writes to a connection's socket at once, where it has room.

Twisted buffers a write and waits for the reactor to report the socket as writable: two system calls and two callbacks
per frame. A socket without buffered data nearly always accepts a frame at once, so that is tried first, as asyncio's
transports do. The rest is buffered by Twisted.
"""

from __future__ import annotations

from typing import Any


def write_directly(transport: Any, data: bytes) -> None:
    """Sends what the kernel accepts now, and has Twisted send the rest, in the order of all writes."""
    if buffered(transport) or not transport.connected or transport.disconnecting:
        transport.write(data)
        return
    try:
        sent = transport.socket.send(data)
    except OSError:  # full or closed: the reactor finds out which
        sent = 0
    if sent < len(data):
        transport.write(data[sent:])


def buffered(transport: Any) -> int:
    """Bytes in Twisted's buffer that the kernel has not accepted (twisted.internet.abstract.FileDescriptor)."""
    waiting: int = len(transport.dataBuffer) - transport.offset
    return waiting + int(transport._tempDataLen)  # noqa: SLF001 -- Twisted has no public name for it

"""What a worker and the process of a recogniser say to each other over a decoder's socket. No asyncio, no Django.

A request is `!cI`, its operation and the length of its payload, then the payload. Each is answered with `!I`, a length,
and JSON: {"text"} or {"error"}. The end of the socket is the end of the recording.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Final

READY: Final = b"\xff\xff\xff\xff"  # on the control socket: the model is loaded
PID: Final = struct.Struct("!I")  # likewise: the id of the process that serves a decoder
REQUEST: Final = struct.Struct("!cI")
REPLY: Final = struct.Struct("!I")
MAX_PAYLOAD: Final = 1 << 21  # bytes: more than a minute of audio


def read_requests(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Each request as (operation, payload), until the socket ends or says something that is no request."""
    with connection.makefile("rb") as incoming:
        while len(header := incoming.read(REQUEST.size)) == REQUEST.size:
            operation, length = REQUEST.unpack(header)
            payload = incoming.read(length) if length <= MAX_PAYLOAD else b""
            if len(payload) != length:
                return
            yield operation, payload


def send_reply(connection: socket.socket, *, text: str = "", error: str = "") -> None:
    """Raises `OSError` if the worker is gone."""
    body = json.dumps({"error": error} if error else {"text": text}).encode()
    connection.sendall(REPLY.pack(len(body)) + body)

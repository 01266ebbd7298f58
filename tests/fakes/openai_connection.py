"""A client's connection to the scripted model server, and what came in by it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from tests.fakes.openai_server import FakeOpenAI

REASONS: Final = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(slots=True)
class Request:
    """What came in, and what became of it. Times are `time.monotonic()` seconds, which processes share."""

    number: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    received_at: float
    tokens_sent: int = 0
    finished_at: float | None = None  # the whole script was played
    disconnected_at: float | None = None  # the client left before that
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def wait_ended(self, timeout: float = 5.0) -> bool:
        """Whether the request was answered, or its client gone, in time."""
        return self.ended.wait(timeout)

    def as_json(self) -> dict[str, Any]:
        names = [name for name in self.__slots__ if name != "ended"]
        return {name: getattr(self, name) for name in names}


class Connection(asyncio.Protocol):
    """Reads HTTP/1.1 requests, one after the other, and has each answered."""

    def __init__(self, server: FakeOpenAI) -> None:
        self.server = server
        self.number = next(server.connections)
        self.transport: asyncio.Transport
        self.paused = False
        self.buffer = b""
        self.request: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.server.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open_connections.discard(self)
        request, self.request = self.request, None
        if request is not None:
            request.disconnected_at = time.monotonic()
            request.ended.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.buffer[:1].isalpha():
            self._read()
        else:  # TLS, for instance
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def _read(self) -> None:
        if self.request is not None:
            return
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        raw, self.buffer = rest[:size], rest[size:]
        body = json.loads(raw) if raw else None
        self.request = self.server.note(self.number, method, path, headers, body)
        self.server.answer(self, self.request)

    def finish(self) -> None:
        """The answer is out; the next request may come."""
        request, self.request = self.request, None
        if request is not None:
            request.finished_at = time.monotonic()
            request.ended.set()
        if self.buffer:
            self._read()

    def send_whole(self, status: int, body: bytes, *, kind: str = "application/json", extra: str = "") -> None:
        reason = REASONS.get(status, "Status")
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        self.transport.write(head.encode() + body)
        self.finish()

"""Frames on their way to one client: they wait in a list that one short-lived task empties."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from chat.protocol.close_codes import Close
from chat.telemetry.metrics import counted

Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = structlog.get_logger(__name__)


class Outbox:
    """Sends the frames of one connection in order; nothing before the handshake is over, nothing after the close."""

    def __init__(self, send: Send) -> None:
        self.connection_id = secrets.token_hex(8)
        self.closed: int | None = None
        self._send = send
        self._outbox: list[dict[str, Any]] = []
        self._begun = False  # whether the handshake is over
        self._writer: asyncio.Task[None] | None = None

    def put(self, frame: str) -> None:
        """Sends a text frame, after those before it."""
        if self.closed is None:
            counted.frames_sent += 1
            counted.bytes_sent += len(frame)
            self._outbox.append({"type": "websocket.send", "text": frame})
            self._flush()

    def put_bytes(self, data: bytes) -> None:
        """Sends a binary frame, after those before it."""
        if self.closed is None:
            counted.frames_sent += 1
            counted.bytes_sent += len(data)
            self._outbox.append({"type": "websocket.send", "bytes": data})
            self._flush()

    def begin(self, greeting: str) -> None:
        """The handshake is over: sends the greeting, then what waits. A connection that was closed is only closed.

        What is sent before would end the handshake with an error.
        """
        waiting, self._outbox, self._begun = self._outbox, [], True
        if self.closed is None:
            self.put(greeting)
        self._outbox += [message for message in waiting if self.closed in (None, message.get("code"))]
        self._flush()

    def close(self, code: Close) -> None:
        """Closes after the outbox is sent. Only the first call counts."""
        if self.closed is None:
            self.closed = int(code)
            self._outbox.append({"type": "websocket.close", "code": int(code)})
            self._flush()

    def _flush(self) -> None:
        if self._begun and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._outbox:
            frames, self._outbox = self._outbox, []
            try:
                for frame in frames:
                    await self._send(frame)
            except Exception:
                # A client that missed a frame cannot go on: it reconnects and resumes.
                logger.exception("socket_write_failed", connection=self.connection_id)
                self._outbox = []
                self.closed = self.closed or int(Close.GOING_AWAY)
                await self._send({"type": "websocket.close", "code": int(Close.GOING_AWAY)})

    def is_idle(self) -> bool:
        """Whether everything put so far has been sent."""
        return not self._outbox and (self._writer is None or self._writer.done())

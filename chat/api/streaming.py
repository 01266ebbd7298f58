"""An answer as server-sent events.

The response begins with the first piece of the answer, or after `BEGIN_SECONDS`: what fails before that still gets a
status of its own, and not an event within a response that says 200.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec

from accounts.lib.outage import OUTAGE
from chat.api.answering import Answering
from chat.api.completions import DONE, Chunks
from chat.api.errors import ApiError, unavailable
from chat.api.responses import Events

BEGIN_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 15.0
KEEP_ALIVE: Final = b": keep-alive\n\n"

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def stream_answer(
    send: Send, answering: Answering, shape: Chunks | Events, headers: list[tuple[bytes, bytes]]
) -> None:
    """Sends the answer as it is written. Raises `ApiError` as long as nothing was sent."""
    writer = _Writer(send, shape, headers)
    begins_by = time.monotonic() + BEGIN_SECONDS
    try:
        async for pieces in answering.read_pieces():
            if pieces or time.monotonic() > begins_by:
                await writer.begin()
            for kind, text in pieces:
                await writer.write(shape.text(text) if kind == "text" else shape.reasoning(text))
            await writer.keep_alive()
        assert answering.outcome is not None
        if answering.outcome.error is not None:
            raise answering.outcome.error
        await writer.begin()
        await writer.write(shape.end(answering.outcome))
        await writer.end()
    except ApiError as error:
        if not writer.begun:
            raise
        await writer.fail(error)
    except OUTAGE:
        if not writer.begun:
            raise
        await writer.fail(unavailable())


class _Writer:
    def __init__(self, send: Send, shape: Chunks | Events, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._shape = shape
        self._headers = headers
        self._written = time.monotonic()
        self.begun = False

    async def begin(self) -> None:
        """Sends the headers and the first events, once."""
        if self.begun:
            return
        self.begun = True
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"), *self._headers
        ]  # fmt: skip
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.write(self._shape.begin())

    async def write(self, events: Iterable[dict[str, Any]]) -> None:
        await self._send_bytes(b"".join(map(self._encode, events)))

    async def keep_alive(self) -> None:
        """Sends a comment, if nothing was sent for a while: proxies then keep the connection."""
        if self.begun and time.monotonic() - self._written > KEEP_ALIVE_SECONDS:
            await self._send_bytes(KEEP_ALIVE)

    async def fail(self, error: ApiError) -> None:
        """Says why the answer ends, in an event, and ends the response."""
        if isinstance(self._shape, Events):
            await self.write(self._shape.fail(error.body["error"]))
        else:
            await self._send_bytes(b"data: " + msgspec.json.encode(error.body) + b"\n\n")
        await self.end()

    async def end(self) -> None:
        last = b"" if isinstance(self._shape, Events) else DONE
        await self._send({"type": "http.response.body", "body": last})

    async def _send_bytes(self, data: bytes) -> None:
        if data:
            self._written = time.monotonic()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _encode(self, event: dict[str, Any]) -> bytes:
        name = b"event: " + event["type"].encode() + b"\n" if isinstance(self._shape, Events) else b""
        return name + b"data: " + msgspec.json.encode(event) + b"\n\n"

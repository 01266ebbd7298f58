"""The WebSocket client of the hosted recognisers: connects, reads JSON, detects a dead connection.

Errors contain no URL, header or body, since those contain keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import structlog
import websockets
from websockets.asyncio.client import ClientConnection, connect

from workers.asr.base import BYTES_PER_MS, AsrError, AsrEvent, EventStream, busy, unavailable

OPEN_SECONDS: Final = 5.0
PING_SECONDS: Final = 10.0  # a half-open connection is detected within twice that
SEND_SECONDS: Final = 5.0
FRAME_MS: Final = 50  # as the vendors recommend
FRAME_BYTES: Final = FRAME_MS * BYTES_PER_MS

# The library's own logger would log requests with their headers at level DEBUG. A level, since `dictConfig` enables
# every disabled logger again.
_quiet = logging.getLogger("silent")
_quiet.setLevel(logging.CRITICAL + 1)
logger = structlog.get_logger(__name__)


async def connect_to(url: str, headers: Mapping[str, str]) -> ClientConnection:
    """Opens a connection. Raises `AsrError`; a refused key is not retryable."""
    try:
        return await connect(
            url,
            additional_headers=dict(headers),
            open_timeout=OPEN_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=1,
            compression=None,
            max_size=1 << 20,
            logger=_quiet,
        )
    except websockets.InvalidStatus as error:
        status = error.response.status_code
        if status == 429:
            raise busy("the service answered 429") from None
        raise unavailable(f"the service answered {status}", retryable=status >= 500) from None
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        raise unavailable(f"no connection ({type(error).__name__})") from None


class Wire(ABC):
    """An open connection and the task that reads it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.closing = False
        self.draining = False
        self._reader = asyncio.create_task(self._read())

    @abstractmethod
    def on_message(self, message: dict[str, Any]) -> None:
        """One JSON message. May raise `AsrError`."""

    @abstractmethod
    def on_end(self, error: AsrError | None) -> None:
        """The connection has ended; `error` is None where this side closed it."""

    async def transmit(self, message: bytes | dict[str, Any]) -> None:
        """Sends binary audio or JSON. Raises `AsrError`."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._connection.send(message if isinstance(message, bytes) else json.dumps(message))
        except (websockets.ConnectionClosed, OSError, TimeoutError) as error:
            raise unavailable(f"the connection broke ({type(error).__name__})") from None

    async def _read(self) -> None:
        error, regular = unavailable("the session has ended"), False
        try:
            async for raw in self._connection:
                message = json.loads(raw)
                if not isinstance(message, dict):
                    raise ValueError
                self.on_message(message)
            error, regular = unavailable(f"the service closed the connection ({self._connection.close_code})"), True
        except websockets.ConnectionClosed:
            error = unavailable(f"the service cut the connection ({self._connection.close_code})")
        except AsrError as failure:
            error = failure
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as failure:
            error = unavailable(f"the service sent an unknown message ({type(failure).__name__})")
        # While the session drains, an irregular end loses the last transcript.
        expected = self.closing and (regular or not self.draining)
        self.on_end(None if expected else error)

    async def end(self, *, wait: float = 0) -> None:
        """Waits `wait` seconds for the service to close the connection, then closes it."""
        self.closing = True
        if wait > 0:
            self.draining = True
            await asyncio.wait({self._reader}, timeout=wait)
            self.draining = False
        with contextlib.suppress(OSError, TimeoutError, websockets.WebSocketException):
            await self._connection.close()
        if not self._reader.done():
            self._reader.cancel()
            await asyncio.wait({self._reader})
            self.on_end(None)


class WireSession(Wire):
    """An `AsrSession` for a service that finds utterances itself."""

    flush_type: str
    close_type: str
    keep_alive_type = ""
    keep_alive_seconds = 4.0

    def __init__(self, connection: ClientConnection) -> None:
        self.events = EventStream()
        self._rest = b""
        self._sent_at = asyncio.get_running_loop().time()
        super().__init__(connection)
        self._keeper = asyncio.create_task(self._keep_alive())

    def __aiter__(self) -> AsyncIterator[AsrEvent]:
        return self.events.__aiter__()

    @abstractmethod
    def finish(self) -> None:
        """The connection has ended: ends the utterance in progress with the transcript so far."""

    async def send(self, pcm: bytes) -> None:
        self.events.raise_if_broken()
        if self.closing:
            return
        self._rest += pcm
        while len(self._rest) >= FRAME_BYTES:
            frame, self._rest = self._rest[:FRAME_BYTES], self._rest[FRAME_BYTES:]
            await self.transmit(frame)
        self._sent_at = asyncio.get_running_loop().time()

    async def _send_rest(self) -> None:
        if self._rest:
            frame, self._rest = self._rest.ljust(FRAME_BYTES, b"\0"), b""
            await self.transmit(frame)

    async def flush(self) -> None:
        self.events.raise_if_broken()
        if not self.closing:
            await self._send_rest()
            await self.transmit(self.flush_message())

    def flush_message(self) -> dict[str, Any]:
        return {"type": self.flush_type}

    def close_message(self) -> dict[str, Any]:
        return {"type": self.close_type}

    async def aclose(self, *, drain: bool = True, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as in `AsrSession`
        if self.closing:
            return
        with contextlib.suppress(AsrError):  # the iteration raises it
            if drain:
                await self.flush()
            await self.transmit(self.close_message())
        self._keeper.cancel()
        await self.end(wait=timeout if drain else 0)

    def on_end(self, error: AsrError | None) -> None:
        self._keeper.cancel()
        if error is None:
            self.finish()
        self.events.end(error)

    async def _keep_alive(self) -> None:
        while self.keep_alive_type:
            await asyncio.sleep(self.keep_alive_seconds)
            if asyncio.get_running_loop().time() - self._sent_at >= self.keep_alive_seconds:
                with contextlib.suppress(AsrError):  # the reader raises it
                    await self.transmit({"type": self.keep_alive_type})


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None

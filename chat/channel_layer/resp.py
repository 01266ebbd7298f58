"""Open connections to Redis: reading in batches from the transport of a redis-py connection.

redis-py connects (URL, TLS, Sentinel, AUTH, retries). Then a protocol of this module replaces its stream reader on the
same transport, so that one read of up to 64 KiB is parsed and handled at once, without a task, timer or future per
reply.

This relies on `AbstractConnection._writer`, a private attribute of redis-py, for the transport. Where it is missing
(or hiredis is), `open_connection` falls back to `FallbackConnection`, which uses redis-py's public calls only and is
slower. `tests/integration/chat/channel_layer/test_connections.py` fails when the fast way stops working.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import select
from collections.abc import Callable
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection, ConnectionPool, DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

try:
    import hiredis
except ImportError:  # pragma: no cover - FallbackConnection works without it
    hiredis = None  # type: ignore[assignment]  # the absence is the value

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
_MORE = object()
_CLOSED_EVENTS = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0) if hasattr(select, "poll") else 0

Receive = Callable[[Any], None]


class OpenConnection(Protocol):
    """Replies go to the callable given at opening, in order; error replies are passed as exceptions."""

    closed: asyncio.Future[Exception]  # done with the reason once the connection has ended
    last_read_at: float  # loop time of the last bytes read

    def write(self, data: bytes) -> None: ...

    def abort(self, error: Exception) -> None:
        """Drops the connection and its unsent bytes; `closed` is done soon after with `error`."""

    def is_closed_by_peer(self) -> bool:
        """Whether Redis closed the connection, even if the loop has not read that yet."""

    async def close(self) -> None: ...


class DirectConnection(asyncio.BufferedProtocol):
    """The fast one: a protocol on redis-py's transport, with hiredis as the parser."""

    def __init__(self, connection: AbstractConnection, transport: asyncio.Transport, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._redis_connection = connection
        self._transport = transport
        self._receive = receive
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)  # asyncio's TLS slices the buffer; slicing a bytearray copies
        self._reader = hiredis.Reader(replyError=DefaultParser.parse_error, notEnoughData=_MORE)
        self._reason: Exception | None = None
        self.closed: asyncio.Future[Exception] = self._loop.create_future()
        self.last_read_at = self._loop.time()
        # redis-py waits for its own protocol to be closed when it disconnects, so the end is passed on to it.
        self._previous = transport.get_protocol()
        # uvloop chooses its read callbacks when reading starts, hence the pause.
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()
        self.write = transport.write

    def abort(self, error: Exception) -> None:
        self._reason = self._reason or error
        self._transport.abort()

    def is_closed_by_peer(self) -> bool:
        if not _CLOSED_EVENTS or self._transport.is_closing():
            return self._transport.is_closing()
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), _CLOSED_EVENTS)
        return bool(poll.poll(0))

    async def close(self) -> None:
        self._transport.abort()
        # Waits for the callback that closes the socket: the next iteration of the loop may be the last one.
        with contextlib.suppress(RedisTimeoutError):
            await self._redis_connection.disconnect()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.last_read_at = self._loop.time()
        reader = self._reader
        receive = self._receive
        try:
            reader.feed(self._buffer, 0, nbytes)  # type: ignore[arg-type]  # the stub omits buffers
            while (reply := reader.gets()) is not _MORE:
                receive(reply)
        except Exception as error:
            # Not Redis's protocol, or a bug here: either way the rest of the stream cannot be parsed.
            logger.exception("Closing a Redis connection whose replies cannot be parsed")
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._previous.connection_lost(exc)
        reason = self._reason or RedisConnectionError(str(exc or "Connection closed by server."))
        reason.__cause__ = reason.__cause__ or exc
        if not self.closed.done():
            self.closed.set_result(reason)


class FallbackConnection:
    """The slow one: public calls of redis-py, with a reading and a writing task."""

    def __init__(self, connection: AbstractConnection, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._redis_connection = connection
        self._receive = receive
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks = {self._loop.create_task(self._read()), self._loop.create_task(self._write())}
        self.closed: asyncio.Future[Exception] = self._loop.create_future()
        self.last_read_at = self._loop.time()

    def write(self, data: bytes) -> None:
        self._outbox.put_nowait(data)

    def abort(self, error: Exception) -> None:
        for task in self._tasks:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(error)

    def is_closed_by_peer(self) -> bool:
        return self.closed.done()

    async def close(self) -> None:
        self.abort(RedisConnectionError("Connection closed."))
        await asyncio.wait(self._tasks)
        await self._redis_connection.disconnect(nowait=True)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    reply = await self._redis_connection.read_response(
                        disable_decoding=True, timeout=math.inf, push_request=True
                    )
                except ResponseError as error:
                    reply = error
                self.last_read_at = self._loop.time()
                self._receive(reply)
        except (RedisError, OSError) as error:
            self.abort(error)
        except Exception as error:
            logger.exception("Closing a Redis connection whose replies cannot be parsed")
            self.abort(error)

    async def _write(self) -> None:
        try:
            while True:
                await self._redis_connection.send_packed_command(await self._outbox.get(), check_health=False)
        except (RedisError, OSError) as error:
            self.abort(error)


def transport_of(connection: AbstractConnection) -> asyncio.Transport | None:
    """The transport of a connected redis-py connection, or None when this redis-py keeps it elsewhere."""
    writer = getattr(connection, "_writer", None)
    transport: asyncio.Transport | None = getattr(writer, "transport", None)
    # Not by isinstance: uvloop's transports are classes of their own.
    return transport if hasattr(transport, "set_protocol") and hasattr(transport, "resume_reading") else None


async def open_connection(pool: ConnectionPool, receive: Receive, seconds: float) -> OpenConnection:
    """Connects with the pool's settings; the connection is not counted as one of the pool.

    Raises redis-py's errors, OSError or TimeoutError.
    """
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py
        # No command was sent yet: readable bytes mean a closed socket or a server that is not Redis.
        if await connection.can_read():
            raise RedisConnectionError("Unexpected bytes after connecting.")
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    transport = transport_of(connection)
    if transport is None or hiredis is None:
        logger.warning("redis-py's transport or hiredis is not available; reading through redis-py, which is slower")
        return FallbackConnection(connection, receive)
    return DirectConnection(connection, transport, receive)


def pack(*args: bytes | str | int | float) -> bytes:
    """One command in RESP, the Redis protocol."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)

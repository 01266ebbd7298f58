"""Taking over the reading of a redis-py connection.

redis-py connects (URL, TLS, Sentinel, AUTH, retries); then a protocol of ours replaces its stream reader on the same
transport, so that one read of up to 64 KiB is parsed and handled in one go: no task, no timer and no future per reply.

What this leans on: `AbstractConnection._writer`, a private attribute of redis-py, for the transport. Where it is
missing (or hiredis is), `open_wire` falls back to `PumpedWire`, which uses redis-py's public calls only and is slower.
`tests/integration/chat/channel_layer/test_connections.py` fails when the fast way stops working.
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
except ImportError:  # pragma: no cover - the pumped way works without it
    hiredis = None  # type: ignore[assignment]  # the absence is the value

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
_MORE = object()
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0) if hasattr(select, "poll") else 0

Receive = Callable[[Any], None]


class Wire(Protocol):
    """An open connection: replies go to the callable given at opening, in order; error replies as exceptions."""

    closed: asyncio.Future[Exception]  # done with the reason once the connection is gone
    heard_at: float  # loop time of the last bytes read

    def write(self, data: bytes) -> None: ...

    def abort(self, error: Exception) -> None:
        """Drops the connection now, unsent bytes with it; `closed` is done soon after with `error`."""

    def hung_up(self) -> bool:
        """Whether Redis has closed the connection although the loop has not read that yet."""

    async def close(self) -> None: ...


class TakenWire(asyncio.BufferedProtocol):
    """The fast way: a protocol on redis-py's transport, hiredis as the parser."""

    def __init__(self, connection: AbstractConnection, transport: asyncio.Transport, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._transport = transport
        self._receive = receive
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)  # asyncio's TLS slices what it gets; of a bytearray that would be a copy
        self._reader = hiredis.Reader(replyError=DefaultParser.parse_error, notEnoughData=_MORE)
        self._reason: Exception | None = None
        self.closed: asyncio.Future[Exception] = self._loop.create_future()
        self.heard_at = self._loop.time()
        # redis-py waits for its own protocol to see the end when it disconnects, so that one is told as well.
        self._previous = transport.get_protocol()
        # uvloop chooses its read callbacks when reading starts, hence the pause.
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()
        self.write = transport.write

    def abort(self, error: Exception) -> None:
        self._reason = self._reason or error
        self._transport.abort()

    def hung_up(self) -> bool:
        if not _HUNG_UP or self._transport.is_closing():
            return self._transport.is_closing()
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), _HUNG_UP)
        return bool(poll.poll(0))

    async def close(self) -> None:
        self._transport.abort()
        # Waits for the callback that closes the socket: the next turn of the loop may be the last one.
        with contextlib.suppress(RedisTimeoutError):
            await self._connection.disconnect()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_at = self._loop.time()
        reader = self._reader
        receive = self._receive
        try:
            reader.feed(self._buffer, 0, nbytes)  # type: ignore[arg-type]  # the stub omits buffers
            while (reply := reader.gets()) is not _MORE:
                receive(reply)
        except Exception as error:
            # Not Redis's protocol, or a mistake of ours: either way the stream cannot be followed any further.
            logger.exception("Closing a Redis connection that cannot be read")
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._previous.connection_lost(exc)
        reason = self._reason or RedisConnectionError(str(exc or "Connection closed by server."))
        reason.__cause__ = reason.__cause__ or exc
        if not self.closed.done():
            self.closed.set_result(reason)


class PumpedWire:
    """The slow way: public calls of redis-py, one task reading and one writing."""

    def __init__(self, connection: AbstractConnection, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._receive = receive
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks = {self._loop.create_task(self._read()), self._loop.create_task(self._write())}
        self.closed: asyncio.Future[Exception] = self._loop.create_future()
        self.heard_at = self._loop.time()

    def write(self, data: bytes) -> None:
        self._outbox.put_nowait(data)

    def abort(self, error: Exception) -> None:
        for task in self._tasks:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(error)

    def hung_up(self) -> bool:
        return self.closed.done()

    async def close(self) -> None:
        self.abort(RedisConnectionError("Connection closed."))
        await asyncio.wait(self._tasks)
        await self._connection.disconnect(nowait=True)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    reply = await self._connection.read_response(
                        disable_decoding=True, timeout=math.inf, push_request=True
                    )
                except ResponseError as error:
                    reply = error
                self.heard_at = self._loop.time()
                self._receive(reply)
        except (RedisError, OSError) as error:
            self.abort(error)
        except Exception as error:
            logger.exception("Closing a Redis connection that cannot be read")
            self.abort(error)

    async def _write(self) -> None:
        try:
            while True:
                await self._connection.send_packed_command(await self._outbox.get(), check_health=False)
        except (RedisError, OSError) as error:
            self.abort(error)


def transport_of(connection: AbstractConnection) -> asyncio.Transport | None:
    """The transport of a connected redis-py connection, or None when this redis-py keeps it elsewhere."""
    writer = getattr(connection, "_writer", None)
    transport: asyncio.Transport | None = getattr(writer, "transport", None)
    # Not by isinstance: uvloop's transports are classes of their own.
    return transport if hasattr(transport, "set_protocol") and hasattr(transport, "resume_reading") else None


async def open_wire(pool: ConnectionPool, receive: Receive, seconds: float) -> Wire:
    """Connects by the pool's settings, outside its count. Raises redis-py's errors, OSError or TimeoutError."""
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py
        # Nothing was asked yet: bytes here mean a closed socket or a server that is not Redis.
        if await connection.can_read():
            raise RedisConnectionError("Unexpected bytes after connecting.")
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    transport = transport_of(connection)
    if transport is None or hiredis is None:
        logger.warning("redis-py's transport or hiredis is not available; reading through redis-py, which is slower")
        return PumpedWire(connection, receive)
    return TakenWire(connection, transport, receive)


def pack(*args: bytes | str | int | float) -> bytes:
    """One command in RESP, the Redis protocol."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)

"""Commands to one Redis server, pipelined: the commands of one iteration of the loop share a write."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from channels.exceptions import ChannelFull
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .reconnect import LOOP_DELAY_SECONDS, ManagedConnection
from .resp import OpenConnection
from .stats import LayerStats


class Publisher(ManagedConnection):
    """Sends commands and matches the replies: Redis answers in order, so the oldest future gets the next reply.

    A command that had been written when the connection is lost fails and is not repeated, since it may have been
    carried out. One that had not been written waits for the next connection, until its own deadline.
    """

    def __init__(
        self, pool: ConnectionPool, stats: LayerStats, *, timeout: float, ping_interval: float, max_pending_bytes: int
    ) -> None:
        super().__init__(pool, timeout=timeout, ping_interval=ping_interval)
        self._stats = stats
        self._max_pending_bytes = max_pending_bytes
        self._unsent: deque[tuple[asyncio.Future[Any], float, bytes]] = deque()  # future, deadline, command
        self._sent: deque[tuple[asyncio.Future[Any] | None, float, int]] = deque()  # future, deadline, bytes
        self._scheduled = False
        self._watch: asyncio.TimerHandle | None = None
        self.pending_bytes = 0

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def submit(self, command: bytes) -> asyncio.Future[Any]:
        """A future of the reply to a packed command. It fails with redis-py's errors, within the timeout.

        Raises ChannelFull when `max_pending_bytes` are unacknowledged.
        """
        size = len(command)
        if self.pending_bytes and self.pending_bytes + size > self._max_pending_bytes:
            self._stats.publish_errors += 1
            raise ChannelFull(f"{self.pending_bytes} bytes are waiting for Redis")
        self.pending_bytes += size
        future: asyncio.Future[Any] = self._loop.create_future()
        deadline = self._loop.time() + self.timeout
        self._unsent.append((future, deadline, command))
        if self._watch is None:
            self._watch = self._loop.call_at(deadline, self._check, deadline)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return future

    async def stop(self) -> None:
        await super().stop()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._fail_sent(RedisConnectionError("The channel layer was closed."))
        while self._unsent:
            self._fail(self._unsent.popleft()[0], RedisConnectionError("The channel layer was closed."))
        self.pending_bytes = 0

    def _flush(self) -> None:
        self._scheduled = False
        connection = self._connection
        if connection is None:
            if self._unsent:
                self.connect()
            return
        if connection.is_closed_by_peer():
            # Commands written now would be lost. They wait for the next connection.
            connection.abort(RedisConnectionError("Connection closed by server."))
            return
        commands = []
        while self._unsent:
            future, deadline, command = self._unsent.popleft()
            if future.done():  # the caller was cancelled before it was written
                self.pending_bytes -= len(command)
            else:
                commands.append(command)
                self._sent.append((future, deadline, len(command)))
        if commands:
            connection.write(b"".join(commands))

    def _check(self, due: float) -> None:
        """At the oldest deadline: fails the commands that are past it, or drops a connection that does not answer."""
        now = self._loop.time()
        if now > due + LOOP_DELAY_SECONDS:
            self._watch = self._loop.call_later(LOOP_DELAY_SECONDS, self._check, now + LOOP_DELAY_SECONDS)
            return
        self._watch = None
        if self._sent and self._sent[0][1] <= now:
            if self._connection is not None:
                self._connection.abort(RedisTimeoutError(f"No reply from Redis in {self.timeout:g} s."))
        else:
            while self._unsent and self._unsent[0][1] <= now:
                future, _, command = self._unsent.popleft()
                self.pending_bytes -= len(command)
                error = RedisTimeoutError(f"No connection to Redis in {self.timeout:g} s.")
                error.__cause__ = self.last_error
                self._fail(future, error)
        oldest = self._sent or self._unsent
        if oldest:
            deadline = max(oldest[0][1], now + 0.01)
            self._watch = self._loop.call_at(deadline, self._check, deadline)

    def _fail(self, future: asyncio.Future[Any] | None, error: Exception) -> None:
        if future is not None and not future.done():
            self._stats.publish_errors += 1
            future.set_exception(error)

    def _fail_sent(self, error: Exception) -> None:
        while self._sent:
            future, _, size = self._sent.popleft()
            self.pending_bytes -= size
            self._fail(future, error)

    # --- ManagedConnection ---

    def _needed(self) -> bool:
        return bool(self._unsent)

    def _opened(self) -> None:
        self._flush()

    def _ping(self, connection: OpenConnection) -> None:
        self._sent.append((None, self._loop.time() + self.timeout, 0))
        super()._ping(connection)

    def _received(self, reply: Any) -> None:
        future, _, size = self._sent.popleft()
        self.pending_bytes -= size
        if isinstance(reply, Exception):
            self._fail(future, reply)
            if isinstance(reply, ReadOnlyError) and self._connection is not None:
                # A master that was demoted: the next connection asks Sentinel again.
                self._connection.abort(reply)
        elif future is not None:
            self._stats.published += 1
            if not future.done():
                future.set_result(reply)

    def _lost(self, error: Exception) -> None:
        self._fail_sent(error)

    def _refused(self, error: Exception) -> None:
        while self._unsent:
            future, _, command = self._unsent.popleft()
            self.pending_bytes -= len(command)
            self._fail(future, error)

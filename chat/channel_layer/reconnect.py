"""A connection to Redis that is opened when needed, checked, and reopened after a loss."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .resp import OpenConnection, open_connection, pack

logger = logging.getLogger(__name__)

BACKOFF_FIRST = 0.05  # seconds; doubled for each attempt, with jitter
BACKOFF_LAST = 2.0
# A timer that fires this late means that the loop was blocked, not Redis: replies may be waiting to be read.
LOOP_DELAY_SECONDS = 0.5
# Errors that pass by themselves, such as those of a server that is starting; all others need an operator.
_TRANSIENT = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)
PING = pack("PING")


class ManagedConnection:
    """Supervises the connection. Subclasses define when one is needed and what its replies mean.

    Connecting takes at most `timeout` seconds. Every `ping_interval` seconds a PING is sent; if nothing is received
    within `timeout` seconds after it, the connection counts as lost.
    """

    def __init__(self, pool: ConnectionPool, *, timeout: float, ping_interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self.timeout = timeout
        self._ping_interval = ping_interval
        self._connection: OpenConnection | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.last_error: Exception | None = None

    # To be overridden by subclasses. All of these run on the loop and must not block.

    def _needed(self) -> bool:
        """Whether there is anything to send or to receive."""
        raise NotImplementedError

    def _opened(self) -> None:
        """`self._connection` was opened."""
        raise NotImplementedError

    def _received(self, reply: Any) -> None:
        """A reply was read; an error reply is an exception."""
        raise NotImplementedError

    def _lost(self, error: Exception) -> None:
        """The connection was lost; another one is opened if `_needed`."""
        raise NotImplementedError

    def _refused(self, error: Exception) -> None:
        """Redis refused the connection for a reason that retrying does not fix, such as AUTH or a wrong option."""
        raise NotImplementedError

    def _ping(self, connection: OpenConnection) -> None:
        connection.write(PING)

    def connect(self) -> None:
        """Starts to connect, unless there is a connection or one is being opened."""
        if self._supervisor is None or self._supervisor.done():
            # An empty context: this task outlives the caller, whose log context must not stay with it.
            self._supervisor = self._loop.create_task(self._supervise(), context=contextvars.Context())
            self._supervisor.add_done_callback(_report)

    async def stop(self) -> None:
        """Closes the connection. It is reopened when needed."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])

    async def _supervise(self) -> None:
        attempt = 0
        while self._needed():
            try:
                connection = await open_connection(self._pool, self._received, self.timeout)
            except Exception as error:
                self.last_error = error
                attempt += 1
                # Over a Unix socket, redis-py wraps errors that occur while it connects.
                inner = error.__cause__ if isinstance(error.__cause__, RedisError) else error
                if isinstance(inner, AuthenticationError | ResponseError) or not isinstance(error, _TRANSIENT):
                    logger.exception("Redis refused the connection, or the connection is misconfigured")
                    self._refused(inner)
                elif attempt == 1:
                    logger.warning("Cannot connect to Redis: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_backoff(attempt))
                continue
            opened_at = self._loop.time()
            try:
                self._connection = connection
                self._opened()
                self._timer = self._loop.call_later(self._ping_interval, self._check_alive, connection)
                reason = await connection.closed
            finally:
                self._connection = None
                if self._timer is not None:
                    self._timer.cancel()
                await connection.close()
            self.last_error = reason
            logger.warning("Redis connection lost: %s", reason)
            self._lost(reason)
            # Also back off from a server that accepts connections and closes them at once.
            attempt = 0 if self._loop.time() - opened_at > self.timeout else attempt + 1
            if attempt and self._needed():
                await asyncio.sleep(_backoff(attempt))

    def _check_alive(self, connection: OpenConnection) -> None:
        self._ping(connection)
        now = self._loop.time()
        self._timer = self._loop.call_later(self.timeout, self._expect_reply, connection, now, now + self.timeout)

    def _expect_reply(self, connection: OpenConnection, sent_at: float, due: float) -> None:
        now = self._loop.time()
        if connection.last_read_at >= sent_at:
            pause = max(self._ping_interval - self.timeout, self._ping_interval / 2)
            self._timer = self._loop.call_later(pause, self._check_alive, connection)
        elif now > due + LOOP_DELAY_SECONDS:
            self._timer = self._loop.call_later(
                LOOP_DELAY_SECONDS, self._expect_reply, connection, sent_at, now + LOOP_DELAY_SECONDS
            )
        else:
            connection.abort(RedisTimeoutError(f"No reply to PING in {self.timeout:g} s."))


def _backoff(attempt: int) -> float:
    """Seconds to wait before this attempt (from 1): exponential, bounded, with up to 50 % jitter."""
    bound: float = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(attempt - 1, 10))
    return bound * random.uniform(0.5, 1.0)


def _report(supervisor: asyncio.Task[None]) -> None:
    if not supervisor.cancelled() and (error := supervisor.exception()) is not None:
        logger.critical("The supervisor of a Redis connection ended", exc_info=error)

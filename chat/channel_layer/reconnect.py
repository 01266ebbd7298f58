"""One connection to Redis that is kept up: opened when needed, watched, and opened again after a loss."""

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

from .resp import Wire, open_wire, pack

logger = logging.getLogger(__name__)

BACKOFF_FIRST = 0.05  # seconds; doubled for each attempt, with jitter
BACKOFF_LAST = 2.0
# A timer this late means that the loop was held up, not Redis: the bytes may be waiting to be read.
LATE = 0.5
# What a server that is down, starting or far away answers with; all else needs a person.
_PASSING = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)
PING = pack("PING")


class Link:
    """The supervisor. Subclasses say when a connection is needed and what its replies mean.

    Nothing here waits for ever: connecting takes at most `timeout` seconds, and every `ping_interval` seconds a PING
    has to bring some bytes within `timeout`, or else the connection counts as lost.
    """

    def __init__(self, pool: ConnectionPool, *, timeout: float, ping_interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self.timeout = timeout
        self._ping_interval = ping_interval
        self._wire: Wire | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.last_error: Exception | None = None

    # What subclasses fill in; all of it runs on the loop and does not wait.

    def _needed(self) -> bool:
        raise NotImplementedError

    def _opened(self) -> None:
        raise NotImplementedError

    def _received(self, reply: Any) -> None:
        raise NotImplementedError

    def _lost(self, error: Exception) -> None:
        raise NotImplementedError

    def _refused(self, error: Exception) -> None:
        """Redis turned the connection down for a reason that trying again does not mend (AUTH, a wrong option)."""
        raise NotImplementedError

    def _ping(self, wire: Wire) -> None:
        wire.write(PING)

    def ensure(self) -> None:
        """Starts connecting unless that is under way or done."""
        if self._supervisor is None or self._supervisor.done():
            # An empty context: what runs here for years must not carry the first caller's request or log context.
            self._supervisor = self._loop.create_task(self._supervise(), context=contextvars.Context())
            self._supervisor.add_done_callback(_report)

    async def stop(self) -> None:
        """Closes the connection. It is opened again when it is needed."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])

    async def _supervise(self) -> None:
        attempt = 0
        while self._needed():
            try:
                wire = await open_wire(self._pool, self._received, self.timeout)
            except Exception as error:
                self.last_error = error
                attempt += 1
                # Over a Unix socket, redis-py wraps what goes wrong while it connects.
                inner = error.__cause__ if isinstance(error.__cause__, RedisError) else error
                if isinstance(inner, AuthenticationError | ResponseError) or not isinstance(error, _PASSING):
                    logger.exception("Redis refuses the connection, or it is configured wrongly")
                    self._refused(inner)
                elif attempt == 1:
                    logger.warning("Redis cannot be reached: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_backoff(attempt))
                continue
            opened_at = self._loop.time()
            try:
                self._wire = wire
                self._opened()
                self._timer = self._loop.call_later(self._ping_interval, self._beat, wire)
                reason = await wire.closed
            finally:
                self._wire = None
                if self._timer is not None:
                    self._timer.cancel()
                await wire.close()
            self.last_error = reason
            logger.warning("Redis connection lost: %s", reason)
            self._lost(reason)
            # A server that accepts and hangs up at once is not hammered either.
            attempt = 0 if self._loop.time() - opened_at > self.timeout else attempt + 1
            if attempt and self._needed():
                await asyncio.sleep(_backoff(attempt))

    def _beat(self, wire: Wire) -> None:
        self._ping(wire)
        now = self._loop.time()
        self._timer = self._loop.call_later(self.timeout, self._expect, wire, now, now + self.timeout)

    def _expect(self, wire: Wire, asked_at: float, due: float) -> None:
        now = self._loop.time()
        if wire.heard_at >= asked_at:
            pause = max(self._ping_interval - self.timeout, self._ping_interval / 2)
            self._timer = self._loop.call_later(pause, self._beat, wire)
        elif now > due + LATE:
            self._timer = self._loop.call_later(LATE, self._expect, wire, asked_at, now + LATE)
        else:
            wire.abort(RedisTimeoutError(f"No reply to PING in {self.timeout:g} s."))


def _backoff(attempt: int) -> float:
    """Seconds before the given attempt (from 1): exponential, bounded, jittered by half."""
    bound: float = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(attempt - 1, 10))
    return bound * random.uniform(0.5, 1.0)


def _report(supervisor: asyncio.Task[None]) -> None:
    if not supervisor.cancelled() and (error := supervisor.exception()) is not None:
        logger.critical("The supervisor of a Redis connection ended", exc_info=error)

"""Single commands to the server of REDIS_URL, pipelined as the layer's own are: those that share an iteration of the
loop share a write, and a reply costs neither a task nor a connection from a pool.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import redis.asyncio.retry
from channels.exceptions import ChannelFull
from django.conf import settings
from redis.asyncio.connection import ConnectionPool
from redis.backoff import NoBackoff

from accounts.lib.per_loop import PerLoop
from accounts.lib.redis import OPTIONS, async_redis

from .publisher import Publisher
from .resp import pack
from .stats import LayerStats

MAX_PENDING_BYTES: Final = 16 * 1024 * 1024
SECONDS: Final = 1.0  # for a reply; with the client's two tries of 2 s a call takes 5 s at most


class _Commands(Publisher):
    """Connects again whenever the connection is lost, whether or not a command waits."""

    def _needed(self) -> bool:
        return True


async def execute(*words: bytes | str | int) -> Any:
    """The reply to a command that does not block and may be carried out twice. Returns bytes, int, list or None.

    redis-py's client sends it while there is no connection, or if the reply is late or lost. Raises `redis.RedisError`.
    """
    publisher, _ = _publisher()
    if publisher.is_connected:
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError, ChannelFull):
            return await publisher.submit(pack(*words))
    publisher.connect()
    return await async_redis().execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py's


def _make_publisher() -> tuple[_Commands, ConnectionPool]:
    pool = ConnectionPool.from_url(settings.REDIS_URL, retry=redis.asyncio.retry.Retry(NoBackoff(), 1), **OPTIONS)
    publisher = _Commands(
        pool,
        LayerStats(),
        timeout=SECONDS,
        ping_interval=OPTIONS["health_check_interval"],
        max_pending_bytes=MAX_PENDING_BYTES,
    )
    return publisher, pool


async def _close_publisher(made: tuple[_Commands, ConnectionPool]) -> None:
    publisher, pool = made
    await publisher.stop()
    await pool.aclose()


_publisher: Final = PerLoop(_make_publisher, close=_close_publisher)

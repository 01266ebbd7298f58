"""One Redis server of the layer and the connections to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis.asyncio
from channels_redis.utils import create_pool
from redis.asyncio.connection import ConnectionPool

from .publisher import Publisher
from .stats import LayerStats
from .subscriber import Deliver, Subscriber


class Shard:
    """One Redis server or Sentinel service: a connection for commands, one for subscriptions, a pool for scripts."""

    def __init__(
        self,
        host: dict[str, Any],
        stats: LayerStats,
        *,
        timeout: float,
        ping_interval: float,
        max_pending_bytes: int,
        deliver: Deliver,
        on_lost: Callable[[], None],
        on_recovered: Callable[[], None],
    ) -> None:
        defaults = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "health_check_interval": ping_interval,
        }
        self.pool: ConnectionPool = create_pool(defaults | host | {"protocol": 2})
        # RESP2 even where a URL says otherwise: then every reply answers a command, without pushes in between.
        self.pool.connection_kwargs["protocol"] = 2
        self.client = redis.asyncio.Redis(connection_pool=self.pool)
        self.publisher = Publisher(
            self.pool, stats, timeout=timeout, ping_interval=ping_interval, max_pending_bytes=max_pending_bytes
        )
        self.subscriber = Subscriber(
            self.pool,
            stats,
            timeout=timeout,
            ping_interval=ping_interval,
            deliver=deliver,
            on_lost=on_lost,
            on_recovered=on_recovered,
        )

    async def close(self) -> None:
        await self.subscriber.stop()
        await self.publisher.stop()
        await self.pool.aclose()
        sentinel = getattr(self.pool, "sentinel_manager", None)
        if sentinel is not None:
            await sentinel.aclose()

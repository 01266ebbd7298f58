"""Many callers of one event loop share a bounded number of connections to Redis: they wait, and none is refused."""

from __future__ import annotations

import asyncio

import pytest

from accounts.lib.redis import MOST_CONNECTIONS, async_redis

pytestmark = pytest.mark.usefixtures("clean_redis")


async def test_more_calls_at_once_than_connections_are_all_answered() -> None:
    """As of hundreds of sockets that come back at once: beyond 100, each was closed, and tried again."""
    replies = await asyncio.gather(*(async_redis().exists(f"key:{number}") for number in range(5 * MOST_CONNECTIONS)))
    assert replies == [0] * (5 * MOST_CONNECTIONS)
    pool = async_redis().connection_pool
    assert len(pool._available_connections) + len(pool._in_use_connections) <= MOST_CONNECTIONS

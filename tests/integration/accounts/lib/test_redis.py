"""The process's Redis clients end with what they belong to."""

from __future__ import annotations

import asyncio
from typing import Any

from accounts.lib.redis import async_redis


def test_a_loops_client_is_closed_with_it(clean_redis: str) -> None:
    async def use() -> Any:
        client = async_redis()
        assert client is async_redis()
        await client.ping()
        return client

    for _ in range(2):
        client = asyncio.run(use())
        assert [bool(one.is_connected) for one in client.connection_pool._available_connections] == [False]

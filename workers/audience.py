"""Who has a conversation open: the web processes that are subscribed to its group, as Redis counts them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from chat import log


async def find_unwatched(conversations: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those that no socket follows. Raises `redis.RedisError`."""
    layer = log.channel_layer()
    by_server: dict[Any, dict[str, uuid.UUID]] = {}
    for one in set(conversations):
        group = log.group_name(one)
        by_server.setdefault(layer.group_connection(group), {})[layer.group_address(group)] = one
    found = set()
    for server, addresses in by_server.items():
        for address, count in await server.pubsub_numsub(*addresses):
            if not count:
                found.add(addresses[address.decode() if isinstance(address, bytes) else address])
    return found

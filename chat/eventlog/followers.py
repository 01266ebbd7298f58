"""Which conversations somebody follows: those to whose group a web process is subscribed, as Redis counts them.

Pages, readers of live shares and requests of the API follow a conversation alike.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from chat.eventlog import store


async def find_unwatched(conversations: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of `conversations` that nobody follows. Raises `redis.RedisError`."""
    layer = store.channel_layer()
    by_server: dict[Any, dict[str, uuid.UUID]] = {}
    for one in set(conversations):
        group = store.group_name(one)
        by_server.setdefault(layer.group_connection(group), {})[layer.group_address(group)] = one
    found = set()
    for server, addresses in by_server.items():
        for address, count in await server.pubsub_numsub(*addresses):
            if not count:
                found.add(addresses[address.decode() if isinstance(address, bytes) else address])
    return found

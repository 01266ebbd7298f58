"""How many watch a conversation's live shares, over all web processes: limits, and the number that members see.

Each stream has an entry in Redis that its process renews, under its link and under its address (`ConnectionCounts`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from django.conf import settings

from chat.eventlog import store
from chat.protocol.frames import encode
from chat.realtime import rate_limits

UNLIMITED: Final = 10**9
EVERY_SECONDS: Final = 20.0  # members' pages are told again: one that opens learns it then

_COUNT: Final = """
local now, total = tonumber(redis.call('TIME')[1]), 0
for i = 1, #KEYS do
  total = total + redis.call('ZCOUNT', KEYS[i], now, '+inf')
end
return total
"""


def link_key(link_id: uuid.UUID) -> str:
    return f"watchers:link:{link_id.hex}"


async def enter(watcher_id: str, link_id: uuid.UUID, address: str) -> bool:
    """Counts a stream; False if its link or its address has as many as allowed. Without Redis it is allowed."""
    limited = [(link_key(link_id), settings.RATE_WATCHERS_PER_LINK or UNLIMITED)]
    if address and settings.RATE_WATCHERS_PER_ADDRESS:
        limited.append((f"watchers:address:{address}", settings.RATE_WATCHERS_PER_ADDRESS))
    return await rate_limits.connection_counts().enter_limited(watcher_id, limited)


async def leave(watcher_id: str) -> None:
    """Stops counting it."""
    await rate_limits.connection_counts().forget(watcher_id)


async def publish(conversation_id: uuid.UUID, links: Iterable[uuid.UUID]) -> None:
    """Tells the members' pages how many watch now. Raises if Redis is away."""
    layer = store.channel_layer()
    keys = [link_key(link) for link in links]
    total = await layer.group_execute(rate_limits.GROUP, "EVAL", _COUNT, len(keys), *keys) if keys else 0
    frame = encode({"type": "audience", "conversation_id": str(conversation_id), "watchers": int(total)})
    message = {"type": "ephemeral", "c": conversation_id.bytes, "from": "", "frame": frame}
    await layer.group_send(store.group_name(conversation_id), message)

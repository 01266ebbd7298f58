"""Which users have a page of the site in view right now. Kept in Redis, where an entry that is not renewed expires.

    visible:<user>   sorted set, member = a socket's connection id, score = when it expires (Redis's clock)

Only clients that say so count (the command `visible`), and pages say it only while the user has browser notifications.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any, Final

from accounts.lib.redis import async_redis

RENEW_SECONDS: Final = 30.0
ENTRY_SECONDS: Final = 75  # two renewals may get lost

_SHOW: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]))
return 0
"""
_SEEN: Final = """
local now, found = tonumber(redis.call('TIME')[1]), {}
for i = 1, #KEYS do found[i] = redis.call('ZCOUNT', KEYS[i], '(' .. now, '+inf') end
return found
"""


def _key(user_id: uuid.UUID) -> str:
    return f"visible:{user_id.hex}"


async def show(user_id: uuid.UUID, connection_id: str) -> None:
    """A client of the user's is visible for the next `ENTRY_SECONDS`. Raises `redis.RedisError`."""
    reply: Any = async_redis().eval(_SHOW, 1, _key(user_id), connection_id, str(ENTRY_SECONDS))
    await reply


async def hide(user_id: uuid.UUID, connection_id: str) -> None:
    """It is visible no more. Raises `redis.RedisError`."""
    await async_redis().zrem(_key(user_id), connection_id)


async def visible_users(user_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those who have a visible client. Raises `redis.RedisError`."""
    users = list(user_ids)
    if not users:
        return set()
    reply: Any = async_redis().eval(_SEEN, len(users), *map(_key, users))
    return {user for user, count in zip(users, await reply, strict=True) if count}

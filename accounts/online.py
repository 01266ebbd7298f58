"""Which users have a socket open. Each web process publishes its users to Redis every few seconds; entries expire.

    online:users    sorted set  user id (hex), score = expiry in s by Redis's clock
    online:sockets   hash        process -> "<expiry>:<number of open sockets>"

For display only. The limits of sockets are counted separately (`chat.realtime.rate_limits`).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from accounts.lib.redis import async_redis, sync_redis

EVERY_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 15
USERS_PER_SCRIPT: Final = 1000  # in one script
KEYS: Final = ("online:users", "online:sockets")

_PUBLISH: Final = """
local now = tonumber(redis.call('TIME')[1])
local due = now + tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 4, #ARGV do redis.call('ZADD', KEYS[1], due, ARGV[i]) end
redis.call('HSET', KEYS[2], ARGV[2], string.format('%.0f:%s', due, ARGV[3]))
for i = 1, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
return 0
"""

_COUNT: Final = """
local now, sockets, processes = tonumber(redis.call('TIME')[1]), 0, 0
local said = redis.call('HGETALL', KEYS[2])
for i = 1, #said, 2 do
  local due, count = string.match(said[i + 1], '(%d+):(%d+)')
  if tonumber(due) > now then
    sockets, processes = sockets + tonumber(count), processes + 1
  else
    redis.call('HDEL', KEYS[2], said[i])
  end
end
return {redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'), sockets, processes}
"""


@dataclass(frozen=True, slots=True)
class Online:
    """Totals of all web processes. A user counts once, with any number of tabs."""

    users: int
    sockets: int
    processes: int


async def publish_presence(process: str, sockets: int, users: Collection[uuid.UUID]) -> None:
    """Publishes the sockets and users of one process. Raises `redis.RedisError`."""
    ids = [one.hex for one in users]
    for start in range(0, max(len(ids), 1), USERS_PER_SCRIPT):
        some = ids[start : start + USERS_PER_SCRIPT]
        reply: Any = async_redis().eval(_PUBLISH, len(KEYS), *KEYS, str(FORGET_SECONDS), process, str(sockets), *some)
        await reply


def count_online() -> Online:
    """Totals of the processes that published in the last `FORGET_SECONDS`. Raises `redis.RedisError`."""
    reply: Any = sync_redis().eval(_COUNT, len(KEYS), *KEYS)
    return Online(*map(int, reply))


def users_online(limit: int = 1000) -> list[uuid.UUID]:
    """The ids of at most `limit` users who are online. Raises `redis.RedisError`."""
    client = sync_redis()
    now = client.time()
    assert isinstance(now, tuple)
    found: Any = client.zrangebyscore(KEYS[0], f"({now[0]}", "+inf", start=0, num=limit)
    return [uuid.UUID(hex=raw.decode()) for raw in found]

"""Which workers are alive: each says so in Redis every few seconds, from the loop that its answers run on.

A worker that hangs, is cut off or is gone says nothing, and its word is forgotten after `FORGET_SECONDS`. What it says
is for people and alerts only; whose a run is stands in its lease.
"""

from __future__ import annotations

from typing import Final

import msgspec

from accounts.lib.redis import async_redis, sync_redis
from chat.jobs.dispatch import GENERATE_QUEUE, TRANSCRIBE_QUEUE

EVERY_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 15
PREFIX: Final = "worker:"


class Heartbeat(msgspec.Struct, frozen=True):
    """What a worker says of itself. `since` is when it started, seconds since 1970."""

    owner: str
    host: str
    pid: int
    runs: int
    slots: int
    draining: bool
    since: float


_decode = msgspec.json.Decoder(Heartbeat).decode


async def beat(heart: Heartbeat) -> None:
    """Raises `redis.RedisError`."""
    await async_redis().set(PREFIX + heart.owner, msgspec.json.encode(heart), ex=FORGET_SECONDS)


async def stop_beating(owner: str) -> None:
    """This worker ends as it should. Raises `redis.RedisError`."""
    await async_redis().delete(PREFIX + owner)


def living_workers() -> list[Heartbeat]:
    """Workers heard of within `FORGET_SECONDS`, oldest first. Raises `redis.RedisError`."""
    client = sync_redis()
    names = list(client.scan_iter(match=PREFIX + "*", count=1000))
    found = client.mget(names) if names else []
    assert isinstance(found, list)
    return sorted((_decode(raw) for raw in found if raw is not None), key=lambda heart: heart.since)


def waiting_jobs() -> int:
    """Jobs in the broker's queues, where the broker is our Redis. Raises `redis.RedisError`."""
    client = sync_redis()
    return sum(int(str(client.llen(name))) for name in (GENERATE_QUEUE, TRANSCRIBE_QUEUE))

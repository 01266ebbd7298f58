"""Worker heartbeats: each worker writes one to Redis every `EVERY_SECONDS`, from the event loop its answers run on.

A worker that hangs, is disconnected or has ended writes none; its last one expires after `FORGET_SECONDS`. Heartbeats
are for people and alerts only; which worker has a run is decided by its lease.
"""

from __future__ import annotations

from typing import Final

import msgspec
import redis
import structlog

from accounts.lib.redis import async_redis, sync_redis
from chat.jobs import processes

EVERY_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 15
PREFIX: Final = "worker:"

logger = structlog.get_logger(__name__)


class EndpointState(msgspec.Struct, frozen=True):
    """A model endpoint as a worker sees it. `failure`: the code of its last failed request for models, or empty;
    `breaker`: closed, open or half-open; `answered_at`: its last answer, seconds since 1970, or 0.
    """

    name: str
    place: str
    failure: str
    breaker: str
    models: int
    answered_at: float

    @property
    def is_up(self) -> bool:
        return not self.failure and self.breaker == "closed"


class Heartbeat(msgspec.Struct, frozen=True):
    """The state of a worker. `since`: when it started, seconds since 1970."""

    owner: str
    host: str
    pid: int
    runs: int
    slots: int
    draining: bool
    since: float
    endpoints: tuple[EndpointState, ...] = ()


_decode = msgspec.json.Decoder(Heartbeat).decode


async def beat(heartbeat: Heartbeat) -> None:
    """Writes a heartbeat. Raises `redis.RedisError`."""
    await async_redis().set(PREFIX + heartbeat.owner, msgspec.json.encode(heartbeat), ex=FORGET_SECONDS)


async def stop_beating(owner: str) -> None:
    """Removes the heartbeat of a worker that ends normally, if Redis can be reached; else it expires."""
    try:
        async with async_redis().pipeline(transaction=False) as pipe:
            pipe.delete(PREFIX + owner)
            pipe.hdel(processes.KEY, owner)
            await pipe.execute()
    except (redis.RedisError, OSError) as error:
        logger.warning("heartbeat_not_removed", error=type(error).__name__)


def living_workers() -> list[Heartbeat]:
    """The workers with a heartbeat in the last `FORGET_SECONDS`, oldest first. Raises `redis.RedisError`."""
    client = sync_redis()
    names = list(client.scan_iter(match=PREFIX + "*", count=1000))
    found = client.mget(names) if names else []
    assert isinstance(found, list)
    return sorted((_decode(raw) for raw in found if raw is not None), key=lambda heartbeat: heartbeat.since)

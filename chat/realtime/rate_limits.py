"""Limits of sockets: how often a command may come, and how many sockets a user or an address may have.

Both are counted in Redis, over all web processes, each in one round trip through the channel layer's pipeline. They
protect the service, so without Redis they let everybody through; nobody waits for them longer than `PATIENCE_SECONDS`.

    rate:<what>:<whose>         string      see `accounts.lib.rate_limit`
    sockets:user:<id>           sorted set  the user's sockets, by when each would be forgotten (s)
    sockets:address:<address>   the same for an address

A process that dies stops renewing its sockets, and they are forgotten within `FORGET_SECONDS`.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
import uuid
import weakref
from collections.abc import Sequence
from typing import Any, Final

import redis
import structlog
from channels.exceptions import ChannelFull
from django.conf import settings

from accounts.lib import rate_limit
from accounts.lib.rate_limit import Limit, required_limits
from accounts.lib.redis import Script
from chat.eventlog.store import channel_layer
from chat.protocol.commands import (
    AnyCommand,
    AudioInterrupt,
    AudioStart,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    RunStop,
)
from chat.protocol.errors import RateLimited
from chat.telemetry import metrics

GROUP: Final = "limits"  # where the layer has several servers, one of them counts everything
PATIENCE_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 2.0  # after a failure Redis is not asked again for so long
FORGET_SECONDS: Final = 30
RENEW_SECONDS: Final = 10.0
RENEW_AT_ONCE: Final = 500  # sockets in one script

_ENTER: Final = Script("""
local now, forget, id = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1]), ARGV[2]
for i = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[2 + i]) then return i end
end
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + forget, id)
  redis.call('EXPIRE', KEYS[i], forget)
end
return 0
""")

_RENEW: Final = Script("""
local now, forget = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + forget, ARGV[1 + i])
  redis.call('EXPIRE', KEYS[i], forget)
end
return 0
""")

AWAY: Final = (redis.RedisError, ChannelFull, OSError, TimeoutError)

logger = structlog.get_logger(__name__)
_paused: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, float] = weakref.WeakKeyDictionary()


async def _ask(script: Script, *args: Any) -> Any:
    """The script's reply, or None when Redis is away."""
    loop = asyncio.get_running_loop()
    if loop.time() < _paused.get(loop, 0.0):
        return None
    layer = channel_layer()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await script.run_with(functools.partial(layer.group_execute, GROUP), *args)
    except AWAY as error:
        _paused[loop] = loop.time() + PAUSE_SECONDS
        logger.warning("limits_not_counted", error=type(error).__name__)
        return None


async def acquire(limits: Sequence[Limit]) -> None:
    """Counts one of each, or none of them. Raises `RateLimited` with `retry_after`."""
    if not limits:
        return
    reply = await _ask(rate_limit.SCRIPT, *rate_limit.arguments(limits))
    if reply is not None and reply[0] > 0:
        metrics.denials["commands"] += 1
        raise too_quick(reply[0] / 1e6)


def too_quick(seconds: float) -> RateLimited:
    """Rounded up, so that who waits as long as told gets through."""
    return RateLimited(retry_after=math.ceil(seconds * 10) / 10)


def limits_of(command: AnyCommand, user_id: uuid.UUID, session_hash: str, place: str) -> list[Limit]:
    """What a command counts against. Stopping has a count of its own: whoever sends too much can still stop."""
    if isinstance(command, RunStop | AudioInterrupt):
        return required_limits((f"stops:{session_hash}", settings.RATE_COMMANDS))
    named = [(f"commands:{session_hash}", settings.RATE_COMMANDS)]
    if isinstance(command, MessageSend | MessageEdit | MessageRegenerate):
        named.append((f"messages:user:{user_id.hex}", settings.RATE_MESSAGES_PER_USER))
        named.append((place and f"messages:address:{place}", settings.RATE_MESSAGES_PER_ADDRESS))
    elif isinstance(command, AudioStart):
        named.append((f"recordings:{user_id.hex}", settings.RATE_RECORDINGS))
    return required_limits(*named)


class FrameLimit:
    """The frames of one socket, counted in the process, and how often this socket was told to slow down."""

    __slots__ = ("_frames", "_refusals")

    def __init__(self) -> None:
        self._frames = rate_limit.Bucket(rate_limit.parse_rate(settings.RATE_FRAMES))
        self._refusals = rate_limit.Bucket(rate_limit.parse_rate(settings.RATE_REFUSALS))

    def try_acquire(self) -> float:
        """Counts a frame: 0, or the seconds to wait."""
        return self._frames.try_acquire(time.monotonic())

    def is_flood(self) -> bool:
        """Counts a refusal: whether it was one too many."""
        return self._refusals.try_acquire(time.monotonic()) > 0


class Connections:
    """The sockets of this loop, as Redis counts them."""

    def __init__(self) -> None:
        self._keys: dict[str, list[str]] = {}  # by connection id
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def enter(self, connection_id: str, user_id: uuid.UUID, place: str) -> bool:
        """Counts a socket; False when its user or its address has as many as allowed."""
        limited = [(f"sockets:user:{user_id.hex}", settings.RATE_CONNECTIONS_PER_USER)]
        if place:
            limited.append((f"sockets:address:{place}", settings.RATE_CONNECTIONS_PER_ADDRESS))
        limited = [(key, limit) for key, limit in limited if limit]
        if not limited:
            return True
        keys = [key for key, _ in limited]
        limits = [limit for _, limit in limited]
        if await _ask(_ENTER, len(keys), *keys, FORGET_SECONDS, connection_id, *limits):
            return False
        self._keys[connection_id] = keys
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
        return True

    def leave(self, connection_id: str) -> None:
        """Counts it no longer. What Redis does not hear now it forgets by itself."""
        keys = self._keys.pop(connection_id, None)
        if keys:
            task = asyncio.create_task(self._forget(connection_id, keys))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forget(self, connection_id: str, keys: list[str]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for key in keys:
                    await channel_layer().group_execute(GROUP, "ZREM", key, connection_id)
        except AWAY as error:
            logger.warning("socket_not_uncounted", error=type(error).__name__)

    async def _renew(self) -> None:
        """For as long as there are sockets. After Redis lost its memory this counts them anew."""
        while self._keys:
            await asyncio.sleep(RENEW_SECONDS)
            pairs = [(key, connection_id) for connection_id, keys in self._keys.items() for key in keys]
            for start in range(0, len(pairs), RENEW_AT_ONCE):
                some = [pair for pair in pairs[start : start + RENEW_AT_ONCE] if pair[1] in self._keys]
                if some:
                    keys, ids = zip(*some, strict=True)
                    await _ask(_RENEW, len(keys), *keys, FORGET_SECONDS, *ids)


_connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = weakref.WeakKeyDictionary()


def connections() -> Connections:
    """The counted sockets of the running loop."""
    loop = asyncio.get_running_loop()
    found = _connections.get(loop)
    if found is None:
        found = _connections[loop] = Connections()
    return found

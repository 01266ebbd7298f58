"""Rate limits of commands and frames, and limits on how many sockets a user or an address may have open.

Commands and sockets are counted in Redis over all web processes, each in one round trip through the channel layer's
pipeline. The limits protect the service, so while Redis is away everything is allowed; nothing waits for them longer
than `REDIS_SECONDS`.

    rate:<what>:<whose>         string      see `accounts.lib.rate_limit`
    sockets:user:<id>           sorted set  the user's sockets, by when each would be forgotten (s)
    sockets:address:<address>   the same for an address

A process that dies stops renewing its sockets; they expire within `FORGET_SECONDS`.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import redis
import structlog
from channels.exceptions import ChannelFull
from django.conf import settings

from accounts.lib import rate_limit
from accounts.lib.lasting import lasting
from accounts.lib.per_loop import PerLoop
from accounts.lib.rate_limit import Limit, required_limits
from accounts.lib.redis import Script
from chat.eventlog.store import channel_layer
from chat.protocol.commands import (
    AnyCommand,
    AudioInterrupt,
    AudioStart,
    MessageContinue,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    RunStop,
)
from chat.protocol.errors import RateLimited
from chat.protocol.speaking import SpeechSay, SpeechStop
from chat.telemetry import metrics

GROUP: Final = "limits"  # if the channel layer has several servers, the one of this group counts everything
REDIS_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 2.0  # after a failure, before Redis is asked again
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
    """The script's reply; None if Redis is away."""
    loop = asyncio.get_running_loop()
    if loop.time() < _paused.get(loop, 0.0):
        return None
    layer = channel_layer()
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            return await script.run_with(functools.partial(layer.group_execute, GROUP), *args)
    except AWAY as error:
        _paused[loop] = loop.time() + PAUSE_SECONDS
        logger.warning("limits_not_checked", error=type(error).__name__)
        return None


async def acquire(limits: Sequence[Limit]) -> None:
    """Counts one under each limit, or under none of them and raises `RateLimited` with `retry_after`."""
    if not limits:
        return
    reply = await _ask(rate_limit.SCRIPT, *rate_limit.arguments(limits))
    if reply is not None and reply[0] > 0:
        metrics.denials["commands"] += 1
        raise rate_limited(reply[0] / 1e6)


def rate_limited(seconds: float) -> RateLimited:
    """The error that asks to wait. `retry_after` is rounded up, so that whoever waits that long is let through."""
    return RateLimited(retry_after=math.ceil(seconds * 10) / 10)


def limits_of(
    command: AnyCommand,
    user_id: uuid.UUID,
    session_hash: str,
    address: str,
    is_shared: Callable[[uuid.UUID], bool] = lambda _: False,
) -> list[Limit]:
    """The limits a command counts under. Stopping has its own, so that whoever sends too much can still stop.

    `is_shared`: whether the sender is in this conversation of several people. Nobody else counts under its limits.
    """
    if isinstance(command, RunStop | AudioInterrupt | SpeechStop):
        return required_limits((f"stops:{session_hash}", settings.RATE_COMMANDS))
    named = [(f"commands:{session_hash}", settings.RATE_COMMANDS)]
    if isinstance(command, MessageSend | MessageEdit | MessageRegenerate | MessageContinue):
        messages = required_limits(
            (f"messages:user:{user_id.hex}", settings.RATE_MESSAGES_PER_USER),
            (address and f"messages:address:{address}", settings.RATE_MESSAGES_PER_ADDRESS),
            *_limits_among_members(command, user_id, is_shared),
        )
        answers = len(getattr(command, "models", None) or [""])  # a message to several models counts as several
        return [*required_limits(*named), *(replace(limit, count=answers) for limit in messages)]
    if isinstance(command, AudioStart):
        named.append((f"recordings:{user_id.hex}", settings.RATE_RECORDINGS))
    if isinstance(command, SpeechSay):
        named.append((f"speech:{user_id.hex}", settings.RATE_SPEECH))
    return required_limits(*named)


def _limits_among_members(
    command: AnyCommand, user_id: uuid.UUID, is_shared: Callable[[uuid.UUID], bool]
) -> list[tuple[str, str]]:
    """Of a conversation and of each of its members, so that one of them cannot use up what there is for all."""
    conversation = command.conversation_id if isinstance(command, MessageSend) else None
    if conversation is None or not is_shared(conversation):
        return []
    return [
        (f"messages:member:{conversation.hex}:{user_id.hex}", settings.RATE_MESSAGES_PER_MEMBER),
        (f"messages:conversation:{conversation.hex}", settings.RATE_MESSAGES_PER_CONVERSATION),
    ]


class FrameLimit:
    """Counts the frames of one connection, within the process, and how often it was told to slow down.

    Shared by the server, which counts control frames and fragments, and the consumer, which counts messages.
    """

    __slots__ = ("_frames", "_refusals")

    def __init__(self) -> None:
        self._frames = rate_limit.Bucket(rate_limit.parse_rate(settings.RATE_FRAMES))
        self._refusals = rate_limit.Bucket(rate_limit.parse_rate(settings.RATE_REFUSALS))

    def try_acquire(self, frames: int = 1) -> float:
        """Counts `frames` frames; 0, or the seconds to wait if they are too many."""
        return self._frames.try_acquire(time.monotonic(), frames)

    def is_flood(self) -> bool:
        """Counts a refusal; whether it was one too many."""
        return self._refusals.try_acquire(time.monotonic()) > 0


class ConnectionCounts:
    """Keeps the open sockets of one event loop counted in Redis, by user and by address."""

    def __init__(self) -> None:
        self._keys: dict[str, list[str]] = {}  # by connection id
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def enter(self, connection_id: str, user_id: uuid.UUID, address: str) -> bool:
        """Counts a socket; False if its user or its address has as many as allowed."""
        limited = [(f"sockets:user:{user_id.hex}", settings.RATE_CONNECTIONS_PER_USER)]
        if address:
            limited.append((f"sockets:address:{address}", settings.RATE_CONNECTIONS_PER_ADDRESS))
        return await self.enter_limited(connection_id, [(key, limit) for key, limit in limited if limit])

    async def enter_limited(self, connection_id: str, limited: Sequence[tuple[str, int]]) -> bool:
        """Counts a connection under each key; False, and under none, if one of them has as many as its limit."""
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
        """Stops counting a socket. If Redis is away, its entry expires."""
        keys = self._keys.pop(connection_id, None)
        if keys:
            task = asyncio.create_task(self._forget(connection_id, keys))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def forget(self, connection_id: str) -> None:
        """As `leave`, and returns when it is done."""
        keys = self._keys.pop(connection_id, None)
        if keys:
            await self._forget(connection_id, keys)

    async def _forget(self, connection_id: str, keys: list[str]) -> None:
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                for key in keys:
                    await channel_layer().group_execute(GROUP, "ZREM", key, connection_id)
        except AWAY as error:
            logger.warning("connection_count_not_released", error=type(error).__name__)

    async def _renew(self) -> None:
        """Runs as long as there are sockets. If Redis lost its data, this counts them again."""
        while self._keys:
            await asyncio.sleep(RENEW_SECONDS)
            with lasting("connection_counts_not_renewed"):
                await self._renew_all()

    async def _renew_all(self) -> None:
        pairs = [(key, connection_id) for connection_id, keys in self._keys.items() for key in keys]
        for start in range(0, len(pairs), RENEW_AT_ONCE):
            some = [pair for pair in pairs[start : start + RENEW_AT_ONCE] if pair[1] in self._keys]
            if some:
                keys, ids = zip(*some, strict=True)
                await _ask(_RENEW, len(keys), *keys, FORGET_SECONDS, *ids)


connection_counts: Final = PerLoop(ConnectionCounts)

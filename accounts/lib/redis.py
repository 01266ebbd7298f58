"""The process's Redis clients, and Lua scripts.

Connecting and waiting for a reply time out after 2 s each. A call is tried twice, because a pooled connection may be
dead, and waits up to 1 s for a connection where all are in use, so every call returns within 5 s. Idle connections are
checked before use. What each socket needs when it opens goes through one connection instead (`send_command`).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.exceptions
import redis.retry
from django.conf import settings
from redis.backoff import NoBackoff

from accounts.lib.per_loop import PerLoop


class Script:
    """A Lua script. It is called by its SHA-1 digest; its text is sent only to a server that does not know it yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def run(self, client: redis.Redis, *args: Any) -> Any:
        """The reply. `args`: the number of keys, the keys, the arguments. Raises `redis.RedisError`."""
        try:
            return client.evalsha(self.digest, *args)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, *args)

    async def run_with(self, execute: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """As `run`, with a coroutine function that sends a command given by its words and waits for the reply."""
        try:
            return await execute("EVALSHA", self.digest, *args)
        except redis.exceptions.NoScriptError:
            return await execute("EVAL", self.text, *args)


PROBE: Final = ("health:probe", "1")  # is written to see whether Redis takes writes
PROBE_SECONDS: Final = 60


def write_refusal(error: Exception) -> str:
    """Why Redis answers but takes no writes, in a word or two; empty where it is something else."""
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "full"
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "a read-only replica"
    return "cannot save to its disk" if "MISCONF" in str(error) else ""


MOST_CONNECTIONS: Final = 100  # of one event loop
WAIT_SECONDS: Final = 1  # for one of them; without waiting, hundreds of sockets that open at once would be refused

OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "health_check_interval": 15,
    "protocol": 2,
    "driver_info": None,  # else each new connection reads the package's version from its metadata, and announces it
}


def _make_client() -> redis.asyncio.Redis:
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.REDIS_URL, max_connections=MOST_CONNECTIONS, timeout=WAIT_SECONDS,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 1), **OPTIONS,
    )  # fmt: skip
    return redis.asyncio.Redis.from_pool(pool)


async_redis: Final = PerLoop(_make_client, close=redis.asyncio.Redis.aclose)
"""The client of the running event loop, made on first use and closed with the loop."""


Execute = Callable[..., Awaitable[Any]]  # takes the words of a command, returns its reply
_pipelined: Execute | None = None


def provide_pipeline(execute: Execute) -> None:
    """Has `send_command` use this from now on: a connection whose commands are sent together, at a fraction of the CPU
    that redis-py's client takes for each. It tries twice, as the client does, and raises `redis.RedisError`.
    """
    global _pipelined
    _pipelined = execute


async def send_command(*words: bytes | str | int) -> Any:
    """The reply to one command that may be carried out twice, within 5 s. Raises `redis.RedisError`."""
    return await (_pipelined or async_redis().execute_command)(*words)


@functools.cache
def sync_redis() -> redis.Redis:
    """The client for threads. It is thread-safe: each call uses a connection of the pool."""
    return redis.Redis.from_url(settings.REDIS_URL, retry=redis.retry.Retry(NoBackoff(), 1), **OPTIONS)

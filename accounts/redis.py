"""The process's Redis clients. They stand here because `accounts` is the lowest layer and all others need them.

Every wait has an end: connecting and replies take 2 s each at the most, a call is tried twice (a pooled connection may
have died), so whoever asks knows within 5 s. Idle connections are checked before use.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.retry
from django.conf import settings
from redis.backoff import NoBackoff

_OPTIONS: dict[str, Any] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "health_check_interval": 15,
    "protocol": 2,
}

_of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = weakref.WeakKeyDictionary()


def async_redis() -> redis.asyncio.Redis:
    """The client of the running loop; made on first use."""
    loop = asyncio.get_running_loop()
    client = _of_loop.get(loop)
    if client is None:
        client = _of_loop[loop] = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, retry=redis.asyncio.retry.Retry(NoBackoff(), 1), **_OPTIONS
        )
    return client


@functools.cache
def sync_redis() -> redis.Redis:
    """The client of threads. Thread-safe: each call takes a connection of the pool."""
    return redis.Redis.from_url(settings.REDIS_URL, retry=redis.retry.Retry(NoBackoff(), 1), **_OPTIONS)

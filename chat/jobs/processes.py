"""What runs on all machines: each web, worker and beat process writes its state to Redis every `EVERY_SECONDS`.

    processes    hash    owner -> "<Redis's time in s> <state as JSON>"

It is for people (`manage.py check_deploy`) and decides nothing. Redis's time beside a process's own one shows by how
much its clock is off. A process that ends or hangs is forgotten after `FORGET_SECONDS`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import time
from typing import Any, Final, Literal

import msgspec
from django.conf import settings

from accounts.lib.redis import Script, async_redis, sync_redis

EVERY_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 15.0
KEY: Final = "processes"

_WRITE: Final = Script(
    """
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d.%06d ', now[1], now[2]) .. ARGV[2])
redis.call('EXPIRE', KEYS[1], 3600)
return 0
"""
)

Kind = Literal["web", "worker", "beat"]


class Shared(msgspec.Struct, frozen=True):
    """Settings of a process that are to be the same, or safe, on all machines. No secret can be read from `keys`."""

    debug: bool = False
    origins: tuple[str, ...] = ()
    trusted_proxies: int = 0
    keys: str = ""  # a digest of SECRET_KEY and VAPID_PRIVATE_KEY
    event_logs: str = ""  # a digest of the servers of event logs, in their order
    database_pool: int = 0
    pooler: str = ""


class ProcessState(msgspec.Struct, frozen=True):
    """A living process. `since` and `at`: by its own clock, seconds since 1970. `clock_off`: how many seconds its clock
    is ahead of Redis's, to about a round trip. `queues`: those that a worker serves.
    """

    kind: Kind
    owner: str
    host: str
    pid: int
    version: str
    since: float
    at: float
    draining: bool = False
    queues: tuple[str, ...] = ()
    shared: Shared = Shared()
    clock_off: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


class Reporter:
    """Writes the state of this process."""

    def __init__(self, kind: Kind, owner: str = "") -> None:
        self.kind: Kind = kind
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.since = time.time()

    async def report(self, *, draining: bool = False, queues: tuple[str, ...] = ()) -> None:
        """Raises `redis.RedisError`."""
        await _WRITE.run_with(async_redis().execute_command, *self._arguments(draining, queues))

    def report_now(self) -> None:
        """As `report`, from a thread."""
        _WRITE.run(sync_redis(), *self._arguments(draining=False, queues=()))

    async def end(self) -> None:
        """Forgets this process, which ends. Raises `redis.RedisError`."""
        reply: Any = async_redis().hdel(KEY, self.owner)
        await reply

    def end_now(self) -> None:
        """As `end`, from a thread."""
        sync_redis().hdel(KEY, self.owner)

    def _arguments(self, draining: bool, queues: tuple[str, ...]) -> tuple[Any, ...]:
        state = ProcessState(
            self.kind, self.owner, socket.gethostname(), os.getpid(), settings.VERSION, self.since, time.time(),
            draining, queues, shared_settings(),
        )  # fmt: skip
        return 1, KEY, self.owner, msgspec.json.encode(state)


def shared_settings() -> Shared:
    """Those of this process."""
    return Shared(
        debug=settings.DEBUG,
        origins=tuple(sorted(settings.ALLOWED_ORIGINS)),
        trusted_proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT,
        keys=_digest(settings.VAPID_PRIVATE_KEY),
        event_logs=_digest(" ".join(settings.EVENT_LOG_REDIS_URLS)),
        database_pool=settings.DATABASE_POOL,
        pooler=settings.DATABASE_POOLER,
    )


def _digest(text: str) -> str:
    """Equal for equal texts and keys; without the key nobody can try texts."""
    return hmac.new(settings.SECRET_KEY.encode(), f"processes {text}".encode(), hashlib.sha256).hexdigest()[:12]


def living_processes() -> list[ProcessState]:
    """The processes that wrote within `FORGET_SECONDS`, by kind and machine. Raises `redis.RedisError`."""
    client: Any = sync_redis()
    seconds, micros = client.time()
    now = seconds + micros / 1e6
    living, gone = [], []
    for owner, raw in client.hgetall(KEY).items():
        at, _, text = raw.partition(b" ")
        if now - float(at) > FORGET_SECONDS:
            gone.append(owner)
            continue
        state = msgspec.json.decode(text, type=ProcessState)
        living.append(msgspec.structs.replace(state, clock_off=state.at - float(at)))
    if gone:
        client.hdel(KEY, *gone)
    return sorted(living, key=lambda one: (one.kind, one.host, one.since))

"""Which process schedules the periodic jobs; a web process can ask without loading Celery's scheduler."""

from __future__ import annotations

from typing import Final

from accounts.lib.redis import sync_redis

LEASE: Final = "beat:lease"


def beat_owner() -> str:
    """The process that has the lease, as `host:pid:random`; empty: none. Raises `redis.RedisError`."""
    raw = sync_redis().get(LEASE)
    return raw.decode() if isinstance(raw, bytes) else ""

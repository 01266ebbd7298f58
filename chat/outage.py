"""The errors that mean one of our servers is away, so that the same may be tried again."""

from __future__ import annotations

from typing import Final

import django.db
import psycopg_pool
import redis

# Our side is away; the client may send the same command again.
OUTAGE: Final = (
    redis.RedisError,
    django.db.OperationalError,
    django.db.InterfaceError,
    psycopg_pool.PoolTimeout,
    TimeoutError,
    ConnectionError,
)

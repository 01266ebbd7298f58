"""The errors that mean PostgreSQL or Redis is unavailable and the operation may be tried again."""

from __future__ import annotations

from typing import Final

import django.db
import psycopg_pool
import redis

# Not `django.db.Error`: a violated constraint or an unknown column fails again. Not `OSError`: the clients of both
# servers convert theirs to these errors, and a full disk is not an outage.
OUTAGE: Final = (
    redis.RedisError,
    django.db.OperationalError,
    django.db.InterfaceError,
    psycopg_pool.PoolTimeout,
    TimeoutError,
    ConnectionError,
)

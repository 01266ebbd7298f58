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
_LOCK_NOT_AVAILABLE: Final = "55P03"  # SQLSTATE


def is_lock_timeout(error: BaseException) -> bool:
    """Whether PostgreSQL is there, but a lock was not free within its `lock_timeout`. The transaction was undone."""
    return getattr(error.__cause__, "sqlstate", "") == _LOCK_NOT_AVAILABLE

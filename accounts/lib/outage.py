"""The errors that mean one of our servers is away, so that the same may be tried again. The one list of them."""

from __future__ import annotations

from typing import Final

import django.db
import psycopg_pool
import redis

# Not `django.db.Error`: a broken rule or an unknown column will not be better the next time. Not `OSError`: the clients
# of both servers turn theirs into these, and a full disk is nobody's absence.
OUTAGE: Final = (
    redis.RedisError,
    django.db.OperationalError,
    django.db.InterfaceError,
    psycopg_pool.PoolTimeout,
    TimeoutError,
    ConnectionError,
)

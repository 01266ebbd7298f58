"""A replica of PostgreSQL for staff's reports (`DATABASE_REPLICA_URL`): usage pages and exports read it, nothing else.

    with reports():
        rows = usage_rows(...)

Within the block the ORM reads the replica, unless it cannot be reached or is more than `REPLICA_LAG_SECONDS` behind:
then it reads the primary, which is logged. Writes go to the primary always.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Iterator
from typing import Any, Final

import django.db
import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg_pool import PoolTimeout

REPLICA: Final = "replica"
AWAY_SECONDS: Final = 30.0  # for which a replica that did not answer is not asked again

_alias: contextvars.ContextVar[str | None] = contextvars.ContextVar("reports_database", default=None)
_away_until = 0.0
logger = structlog.get_logger(__name__)


class Router:
    """Django's hook (`DATABASE_ROUTERS`)."""

    def db_for_read(self, _model: Any, **_hints: Any) -> str | None:
        return _alias.get()

    def db_for_write(self, _model: Any, **_hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, *_objects: Any, **_hints: Any) -> bool:
        return True  # it is one database, seen twice

    def allow_migrate(self, db: str, _app_label: str, **_hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS


@contextlib.contextmanager
def reports() -> Iterator[str]:
    """The block's reads are a report's. Gives the name of the database that they use."""
    alias = reports_database()
    token = _alias.set(alias)
    try:
        yield alias
    finally:
        _alias.reset(token)


def reports_database() -> str:
    """The database that a report reads now: `replica` or `default`."""
    global _away_until
    if REPLICA not in settings.DATABASES or time.monotonic() < _away_until:
        return DEFAULT_DB_ALIAS
    try:
        lag = _lag_seconds()
    except (django.db.Error, PoolTimeout) as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("replica_not_used", reason=type(error).__name__, note="reports read the primary")
        return DEFAULT_DB_ALIAS
    if lag <= settings.REPLICA_LAG_SECONDS:
        return REPLICA
    logger.warning("replica_not_used", reason="lag", seconds=round(lag), note="reports read the primary")
    return DEFAULT_DB_ALIAS


def _lag_seconds() -> float:
    """How far the replica is behind. One that has replayed all that the primary has written is not behind, however long
    ago that was; one that has lost the primary is, as soon as something is written there.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text")
        [written] = cursor.fetchone()
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0 ELSE"
            " COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 1e9) END::float",
            [written],
        )
        [lag] = cursor.fetchone()
    return float(lag)

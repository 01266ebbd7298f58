"""Bounds of the queries behind staff's figures, so that a page stays cheap however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from django.db import OperationalError, connection, transaction

MAX_ROWS: Final = 100_000  # that one query of the dashboard reads, the newest first by an index
TIMEOUT_SECONDS: Final = 3  # for one query of the dashboard
TOP: Final = 10  # entries of a ranking

logger = structlog.get_logger(__name__)


class QueryTimeoutError(Exception):
    """A query took longer than allowed."""


@contextmanager
def statement_timeout(seconds: float) -> Iterator[None]:
    """A transaction in which no statement may take longer. Raises `QueryTimeoutError` when one did."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])
            yield
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")  # an outer transaction may go on
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "57014":  # query_canceled
            raise
        raise QueryTimeoutError from error


def read_rows(query: str, values: dict[str, Any]) -> list[Any] | None:
    """The query's rows; None when it took longer than `TIMEOUT_SECONDS`."""
    try:
        with statement_timeout(TIMEOUT_SECONDS), connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())
    except QueryTimeoutError:
        logger.warning("dashboard_query_timed_out")
        return None

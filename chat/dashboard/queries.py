"""Bounds of the queries behind staff's figures, so that a page stays cheap however many rows there are."""

from __future__ import annotations

from typing import Any, Final

import structlog
from django.db import connection

from accounts.lib.db import QueryTimeoutError, statement_timeout

MAX_ROWS: Final = 100_000  # that one query of the dashboard reads, the newest first by an index
TIMEOUT_SECONDS: Final = 3  # for one query of the dashboard
WORK_MEM: Final = "32MB"  # of a query's sorts: `MAX_ROWS` narrow rows fit, so nothing is written to the disk
TOP: Final = 10  # entries of a ranking

logger = structlog.get_logger(__name__)


def read_rows(query: str, values: dict[str, Any]) -> list[Any] | None:
    """The query's rows; None when it took longer than `TIMEOUT_SECONDS`."""
    try:
        with statement_timeout(TIMEOUT_SECONDS, work_mem=WORK_MEM), connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())
    except QueryTimeoutError:
        logger.warning("dashboard_query_timed_out")
        return None

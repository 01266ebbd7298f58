"""Statements that PostgreSQL plans once for each connection instead of at each execution.

They are prepared by SQL (`PREPARE`, `EXECUTE`), because Django binds values on the client. The name of a statement is
made of its text, so it never stands for another one. Behind a pooler that gives each transaction another connection, a
statement may be unknown where it is executed: this process then stops preparing, and executes statements as usual.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from django.db import Error, connection
from django.db.backends.utils import CursorWrapper

# The SQLSTATEs of: no statement of that name; a table was changed under it.
_UNUSABLE: Final = ("26000", "0A000")
_DUPLICATE: Final = "42P05"

logger = structlog.get_logger(__name__)


class PreparedStatement:
    """A statement with named placeholders (`%(name)s`) and the SQL type of each."""

    enabled = True  # in this process

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.sql = sql
        numbered = sql % {name: f"${number}" for number, name in enumerate(types, 1)}
        self.name = f"antiphon_{hashlib.sha256(numbered.encode()).hexdigest()[:16]}"
        self._prepare = f"PREPARE {self.name} ({', '.join(types.values())}) AS {numbered}"
        self._execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in types)})"
        self._prepared: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # connections

    def execute(self, cursor: CursorWrapper, values: Mapping[str, Any]) -> None:
        """Executes it with a cursor of `django.db.connection`. Raises as `cursor.execute` does."""
        # A transaction would not survive that the statement is unknown.
        pooled = connection.settings_dict[
            "DISABLE_SERVER_SIDE_CURSORS"
        ]  # DATABASE_POOLER: nothing outlasts a transaction
        if pooled or not PreparedStatement.enabled or connection.in_atomic_block:
            cursor.execute(self.sql, values)
            return
        try:
            if connection.connection not in self._prepared:
                self._prepare_once(cursor)
            cursor.execute(self._execute, values)
        except Error as error:
            if _state_of(error) not in _UNUSABLE:
                raise
            PreparedStatement.enabled = False
            logger.warning("prepared_statements_disabled", error=type(error.__cause__).__name__)
            cursor.execute(self.sql, values)

    def _prepare_once(self, cursor: CursorWrapper) -> None:
        try:
            cursor.execute(self._prepare)
        except Error as error:
            if _state_of(error) != _DUPLICATE:
                raise
        self._prepared[connection.connection] = True


def _state_of(error: Error) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""

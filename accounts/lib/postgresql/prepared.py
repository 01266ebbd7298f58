"""Statements that PostgreSQL plans once for each connection instead of at each execution.

They are prepared by SQL (`PREPARE`, `EXECUTE`), because Django binds values on the client. The name of a statement is
made of its text, so it never stands for another one, and its plan is for all values. Behind a pooler that gives each
transaction another connection, a statement may be unknown where it is executed: this process then stops preparing, and
executes statements as usual. A transaction does not survive that, so within one a statement is executed as usual, too,
unless all of the transaction can be done again (`with_prepared`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import structlog
from django.db import Error, connection
from django.db.backends.utils import CursorWrapper

# The SQLSTATEs of: no statement of that name; a table was changed under it.
_UNUSABLE: Final = ("26000", "0A000")
_DUPLICATE: Final = "42P05"
# All of them find rows by unique keys and by indexes, whatever the values are. PostgreSQL would plan many of them anew
# for each execution, because it reckons a plan for known values a little cheaper; but planning them costs more than
# executing them. It concerns prepared statements alone, and Django prepares none.
_PREPARING: Final = "SET plan_cache_mode = force_generic_plan; "

T = TypeVar("T")
logger = structlog.get_logger(__name__)


# What is prepared for the transaction under way.
_usable: ContextVar[frozenset[PreparedStatement]] = ContextVar("usable", default=frozenset())


class PreparedStatement:
    """A statement with named placeholders (`%(name)s`) and the SQL type of each."""

    enabled = True  # in this process

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.sql, self.types = sql, types
        numbered = sql % {name: f"${number}" for number, name in enumerate(types, 1)}
        self.name = f"antiphon_{hashlib.sha256(numbered.encode()).hexdigest()[:16]}"
        self._prepare = f"PREPARE {self.name} ({', '.join(types.values())}) AS {numbered}"
        self._execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in types)})"
        self._prepared: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # connections

    def execute(self, cursor: CursorWrapper, values: Mapping[str, Any]) -> None:
        """Executes it with a cursor of `django.db.connection`. Raises as `cursor.execute` does."""
        if connection.in_atomic_block and self in _usable.get():
            cursor.execute(self._execute, values)
        else:
            execute_all(cursor, [self], values)

    @property
    def prepared_call(self) -> str:
        """The SQL that executes it where it is prepared."""
        return self._execute

    def prepare(self, cursor: CursorWrapper) -> None:
        """Prepares it on the cursor's connection, unless it is."""
        if connection.connection in self._prepared:
            return
        try:
            cursor.execute(_PREPARING + self._prepare)
        except Error as error:
            if _state_of(error) != _DUPLICATE:
                raise
        self._prepared[connection.connection] = True


def execute_all(cursor: CursorWrapper, statements: Sequence[PreparedStatement], values: Mapping[str, Any]) -> None:
    """Executes statements one after the other, in one round trip and in one transaction: of all or of none of them.

    Placeholders of the same name have one value. The cursor is at the result of the first one; `rows_of_all` reads all.
    Raises as `cursor.execute` does.
    """
    plain = "; ".join(statement.sql for statement in statements)
    if not _may_prepare():
        cursor.execute(plain, values)
        return
    try:
        for statement in statements:
            statement.prepare(cursor)
        cursor.execute("; ".join(statement.prepared_call for statement in statements), values)
    except Error as error:
        if _state_of(error) not in _UNUSABLE:
            raise
        _disable(error)
        cursor.execute(plain, values)


def with_prepared(statements: Sequence[PreparedStatement], work: Callable[[], T]) -> T:
    """What `work` returns. The transaction that it opens may execute these statements, which are prepared before. Where
    they turn out to be unknown, `work` is called once more, and executes them as usual: it must not have done anything
    but what is rolled back. Raises what `work` raises.
    """
    if not _may_prepare():
        return work()
    with connection.cursor() as cursor:
        for statement in statements:
            statement.prepare(cursor)
    before = _usable.set(frozenset(statements))
    try:
        return work()
    except Error as error:
        if _state_of(error) not in _UNUSABLE:
            raise
        _disable(error)
    finally:
        _usable.reset(before)
    return work()


def rows_of_all(cursor: CursorWrapper) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement that `execute_all` has executed; none of one that returns none."""
    found = []
    while True:
        found.append(cursor.fetchall() if cursor.description else [])
        if not cursor.nextset():
            return found


def _may_prepare() -> bool:
    """Not with DATABASE_POOLER, where nothing outlasts a transaction, and not within one."""
    pooled = connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]
    return PreparedStatement.enabled and not pooled and not connection.in_atomic_block


def _disable(error: Error) -> None:
    PreparedStatement.enabled = False
    logger.warning("prepared_statements_disabled", error=type(error.__cause__).__name__)


def _state_of(error: Error) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""

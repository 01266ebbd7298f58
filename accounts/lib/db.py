"""Database work: for coroutines in a small pool of threads, and with a time limit.

Channels' `database_sync_to_async` runs everything on one thread and leaves connections open. Here each call returns its
connection to psycopg's pool, and the number of threads limits the PostgreSQL connections of a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction

P = ParamSpec("P")
T = TypeVar("T")
_QUERY_CANCELED = "57014"  # SQLSTATE


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=settings.DATABASE_POOL, thread_name_prefix="db")


def _call(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return func(*args, **kwargs)
    finally:
        # With a pool, closing returns the connection to it. The pool discards broken connections.
        connections.close_all()


def release_connections() -> None:
    """Gives this thread's connections back to the pool, unless a transaction is open on them."""
    for one in connections.all(initialized_only=True):
        if not one.in_atomic_block:
            one.close()


async def in_db(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `func` on a database thread and returns its result. If the caller is cancelled, the call still finishes."""
    context = contextvars.copy_context()
    call = functools.partial(_call, func, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_executor(), context.run, call)


class QueryTimeoutError(Exception):
    """A statement took longer than `statement_timeout` allows."""


@contextlib.contextmanager
def statement_timeout(seconds: float, *, using: str = DEFAULT_DB_ALIAS, work_mem: str = "") -> Iterator[None]:
    """A transaction whose statements may take `seconds` each. Raises `QueryTimeoutError` when one takes longer.
    `using`: the database. `work_mem`: the memory of each sort and hash table, as PostgreSQL writes it; empty: as usual.
    """
    connection = connections[using]
    is_inner = connection.in_atomic_block
    given = {"statement_timeout": f"{int(seconds * 1000)}ms"} | ({"work_mem": work_mem} if work_mem else {})
    try:
        with transaction.atomic(using=using):
            with connection.cursor() as cursor:
                setting = ", ".join("set_config(%s, %s, true)" for _ in given)
                cursor.execute(f"SELECT {setting}", [word for pair in given.items() for word in pair])
            yield
            if is_inner:  # the outer transaction goes on without them
                with connection.cursor() as cursor:
                    cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in given))
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != _QUERY_CANCELED:
            raise
        raise QueryTimeoutError from error

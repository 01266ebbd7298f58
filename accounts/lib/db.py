"""ORM work for coroutines: a small pool of threads, each call returning its connection to psycopg's pool.

Channels' `database_sync_to_async` runs everything on one thread and leaves connections open; here the number of
threads bounds both the work under way and the PostgreSQL connections a process holds.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=settings.DATABASE_POOL, thread_name_prefix="db")


def _call(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return func(*args, **kwargs)
    finally:
        # With a pool, closing returns the connection; a broken one is thrown away there.
        connections.close_all()


async def in_db(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `func` on a database thread and waits for it. A cancelled caller leaves the call to finish by itself."""
    context = contextvars.copy_context()
    call = functools.partial(_call, func, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_executor(), context.run, call)

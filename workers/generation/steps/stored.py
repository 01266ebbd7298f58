"""Writes the rows of steps: during an outage of PostgreSQL again and again, because the answer cannot go on without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE

SECONDS: Final = 60.0  # how long PostgreSQL is waited for; then the reaper queues or ends the run
RETRY_SECONDS: Final = 0.5

P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Gone(Exception):
    """The run is not this worker's any more, or is to be stopped: nothing more is written of it."""


async def stored(write: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `write`, which may be repeated, returns on a database thread. Raises `Gone` for None, and after an outage of
    `SECONDS` the database's error.
    """

    async def once() -> T | None:
        return await in_db(write, *args, **kwargs)

    result = await through_outages(once)
    if result is None:
        raise Gone
    return result


async def through_outages(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, which is repeated while PostgreSQL is away, for `SECONDS`."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return await work()
        except OUTAGE as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("step_not_stored_yet", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

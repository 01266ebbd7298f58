"""Writes what moderation has found, in the background: during an outage of PostgreSQL again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, ParamSpec

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.runs.context import ClaimedRun

GIVE_UP_SECONDS: Final = 600.0  # how long PostgreSQL is waited for
RETRY_SECONDS: Final = 1.0

P = ParamSpec("P")
logger = structlog.get_logger(__name__)


async def record(what: str, run: ClaimedRun, write: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
    """Calls `write` on a database thread until it succeeds. Raises nothing; returns whether it was
    written, and logs it if not."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            await in_db(write, *args, **kwargs)
        except OUTAGE as error:
            if time.monotonic() < deadline:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            logger.error("finding_not_recorded", what=what, run=str(run.id), error=type(error).__name__)
        except Exception:
            logger.exception("finding_not_recorded", what=what, run=str(run.id))
        else:
            return True
        return False

"""Events that another process should have appended to a conversation's log, appended by the worker instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import events, store
from chat.runs.approval_log import announce_waits
from chat.runs.closing import announcements, close_attempt
from chat.runs.context import ClaimedRun

RETRY_SECONDS: Final = 0.5

logger = structlog.get_logger(__name__)


async def announce(run: ClaimedRun, is_lost: Callable[[], bool]) -> None:
    """Appends a run's first events, which are missing when the web process died between the commit and the append.

    Idempotent. The answer waits for these events, so this retries during an outage until the run `is_lost`.
    """
    while not is_lost():
        try:
            missing = (await in_db(announcements, [run.id]))[run.id]
            await store.append(store.Append(run.conversation_id, missing, run.id, attempt=0, number=1))
        except OUTAGE as error:
            logger.warning("announcement_delayed", run=str(run.id), error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def close_previous_attempt(run: ClaimedRun) -> None:
    """Appends the end of the attempt before, as that of a lost one, unless the log has it. The process that ended it
    may not have reached the log, which refuses these events after `run.started` of this attempt. An outage is only
    logged.
    """
    before = replace(run, attempt=run.attempt - 1)
    await announce_waits([(before.id, before.attempt)])  # it may have waited for a person; then it was not lost
    missing = [events.run_superseded(before, run.begins_with), events.run_queued(run, attempt=run.attempt)]
    try:
        await close_attempt(before.conversation_id, before.id, before.attempt, missing)
    except OUTAGE as error:
        logger.warning("previous_attempt_not_closed", run=str(run.id), error=type(error).__name__)

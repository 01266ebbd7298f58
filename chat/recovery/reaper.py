"""Recovers what a crash left behind: runs without a worker, lost jobs, and closing events missing from the log.

Every web and worker process runs this loop, and any one of them is enough: each step is a guarded change of one row or
an idempotent append, so it does not matter which process is first.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Final

import redis
import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.eventlog.replay import extend
from chat.jobs.dispatch import BrokerAway, enqueue, look_at_queue
from chat.models import RunStatus
from chat.recovery.recordings import RecordingRecovery
from chat.runs.closing import close_attempt, close_in_log
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import MAX_ATTEMPTS, requeue
from chat.runs.overdue import Expired, expired_runs, lost_jobs, unclosed_runs
from chat.telemetry import metrics

logger = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 2.0
LOST_JOB_SECONDS: Final = 3.0  # if the queue has passed it, so no worker has the job
STALE_JOB_SECONDS: Final = 300.0  # if that is not known
UNCLOSED_SECONDS: Final = 5.0


async def run() -> None:
    """Repeats all steps for ever. During an outage they are tried again."""
    recover_recordings = RecordingRecovery().run
    while True:
        await asyncio.sleep(EVERY_SECONDS * random.uniform(0.75, 1.25))
        for step in (reap, sweep, close_endings, recover_recordings):
            try:
                await step()
            except (*OUTAGE, BrokerAway) as error:
                logger.warning("recovery_delayed", step=step.__name__, error=type(error).__name__)
            except Exception:
                logger.exception("recovery_failed", step=step.__name__)


async def reap() -> None:
    """Ends or requeues the runs whose lease has expired."""
    for run in await in_db(expired_runs):
        try:
            text = await _text_in_log(run)
        except (redis.RedisError, OSError) as error:
            # How much users have seen is not known now, and the answer must not end with less than that.
            logger.warning("reap_delayed", run=str(run.run_id), error=type(error).__name__)
            continue
        await _end_or_requeue(run, text)


async def _text_in_log(run: Expired) -> str:
    """The checkpoint with what the log has beyond it: the text users have seen."""
    here, _ = await store.position(run.conversation_id)
    after = run.seq if run.epoch == here.epoch else 0
    entries = await store.entries(run.conversation_id, after=after, until=here.seq)
    return extend(run.text, str(run.run_id), run.attempt, entries) or run.text


async def _end_or_requeue(run: Expired, text: str) -> None:
    if not text and not run.stop_requested and run.attempt < MAX_ATTEMPTS:
        events = await in_db(requeue, run.run_id, run.attempt)
        if events is not None:
            metrics.recoveries["requeued"] += 1
            logger.warning("run_requeued", attempt=run.attempt, **run.log_context())
            await close_attempt(run.conversation_id, run.run_id, run.attempt, events)
            await enqueue(run.run_id)
        return
    status, code, sentence = (
        RunStatus.INTERRUPTED,
        "worker_lost",
        "The answer was interrupted. You can continue or retry.",
    )
    if run.stop_requested:
        status, code, sentence = RunStatus.STOPPED, "", ""
    elif not text:
        status, code = RunStatus.FAILED, "attempts_exhausted"
        sentence = f"{MAX_ATTEMPTS} workers were lost while writing this answer. Try again later."
    ending = Ending(text, error_code=code, error_message=sentence)
    ended = await in_db(end_run, run.run_id, run.attempt, status, ending, expired=True)
    if ended is not None:
        metrics.recoveries["reaped"] += 1
        metrics.count_run(
            status.value,
            model=ended.used.model if ended.used else "",
            input_tokens=ended.used.input_tokens if ended.used else 0,
            output_tokens=ended.used.output_tokens if ended.used else 0,
            cost=ended.cost,
        )
        logger.warning("run_reaped", attempt=run.attempt, status=status.value, **run.log_context())
        await close_in_log(ended)


async def sweep() -> None:
    """Publishes the jobs of queued runs again that were lost with the broker's memory, with a worker, or on the way.

    The queue is first in, first out, so a job that was published before the oldest one in it is lost. A long queue is
    therefore not mistaken for lost jobs, and a lost job is found as soon in a busy system as in an idle one.
    """
    queue = await look_at_queue()
    soon = LOST_JOB_SECONDS if queue.known and (queue.oldest or not queue.length) else STALE_JOB_SECONDS
    for run_id in await in_db(lost_jobs, soon, STALE_JOB_SECONDS, queue.oldest):
        metrics.recoveries["republished"] += 1
        logger.info("job_republished", run=str(run_id))
        await enqueue(run_id)


async def close_endings() -> None:
    """Appends closing events whose process died between the commit and the append.

    Whether all of the text is in the log is not known, so the log begins anew: the end must not follow half a text.
    """
    ended = await in_db(unclosed_runs, UNCLOSED_SECONDS)
    if ended:
        metrics.recoveries["closed"] += len(ended)
        await close_in_log(*(replace(one, whole=one.silent) for one in ended))

"""Recovers what a crash left behind: runs without a worker, lost jobs, and closing events missing from the log.

Every web and worker process runs this loop, and any one of them is enough: each step is a guarded change of one row or
an idempotent append, so it does not matter which process is first.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.lasting import failures
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.eventlog.replay import ReasoningDelta, extend
from chat.jobs.dispatch import BrokerAway, enqueue, look_at_queue
from chat.models import RunStatus
from chat.moderation.rewriting import publish_rewritten
from chat.recovery.approvals import recover_approvals
from chat.recovery.files import FileRecovery
from chat.recovery.positions import announce_positions
from chat.recovery.recordings import RecordingRecovery
from chat.recovery.waiting_lines import recover_waiting_lines
from chat.runs.approval_log import announce_waits, decided_of
from chat.runs.claims import MAX_ATTEMPTS, requeue
from chat.runs.closing import close_attempt, close_in_log, fence
from chat.runs.ending import Ending, end_run
from chat.runs.lost import Lost
from chat.runs.overdue import (
    Expired,
    any_expired,
    give_up,
    lost_jobs,
    note_unpublished,
    take_expired,
    unclosed_runs,
)
from chat.runs.step_rows import attempts_in_vain
from chat.telemetry import metrics
from chat.turns.releasing import announce_released
from chat.turns.unasked import find_unannounced, note_announced

logger = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 2.0
LOST_JOB_SECONDS: Final = 3.0  # if the queue is empty or has passed it, so no worker has the job
STALE_JOB_SECONDS: Final = 60.0  # whatever is known of the queue
TAKEN_SECONDS: Final = 5.0  # the lease of a process that ends a lost worker's run
SLOW_SECONDS: Final = 1.0  # a read that takes longer has waited for a table's lock
GRACE_SECONDS: Final = 3.0  # after an outage of PostgreSQL: workers that live renew their leases first
UNCLOSED_SECONDS: Final = 5.0


class _Outage:
    """When this process last saw PostgreSQL not answer, monotonic seconds."""

    seen_at = float("-inf")


async def run() -> None:
    """Repeats all steps for ever. During an outage they are tried again."""
    recover_recordings, recover_files = RecordingRecovery().run, FileRecovery().recover_files
    while True:
        await asyncio.sleep(EVERY_SECONDS * random.uniform(0.75, 1.25))
        for step in (
            reap, sweep, close_endings, begin_logs_anew, announce_unasked, recover_approvals, recover_recordings,
            recover_waiting_lines, recover_files, announce_positions,
        ):  # fmt: skip
            try:
                await step()
            except (*OUTAGE, BrokerAway) as error:
                logger.warning("recovery_delayed", step=step.__name__, error=type(error).__name__)
            except Exception:
                failures["recovery_failed"] += 1
                logger.exception("recovery_failed", step=step.__name__)


async def reap() -> None:
    """Ends or requeues the runs whose lease has expired."""
    began = time.monotonic()
    try:
        found = await in_db(any_expired)
    except OUTAGE:
        _Outage.seen_at = time.monotonic()
        raise
    if time.monotonic() - began > SLOW_SECONDS:
        _Outage.seen_at = time.monotonic()
    # No worker could renew its leases either: they are late, not lost.
    if not found or time.monotonic() - _Outage.seen_at < GRACE_SECONDS:
        return
    owner = f"reaper:{secrets.token_hex(8)}"
    queued = []
    for run in await in_db(take_expired, owner, TAKEN_SECONDS):
        try:
            # How much users have seen must be known: the answer must not end with less than that.
            await fence(run.conversation_id, run.run_id, run.attempt, silent=not run.has_shown)
            if await _end_or_requeue(run, *await _texts_in_log(run), owner):
                queued.append(run.run_id)
        except (*OUTAGE, OSError) as error:  # what holds up one run does not hold up those after it
            logger.warning("reap_delayed", run=str(run.run_id), error=type(error).__name__)
            with contextlib.suppress(*OUTAGE):
                await in_db(give_up, run.run_id, owner)
    # Afterwards: a broker that is away costs seconds, and the runs above have to end whether it is there or not.
    await publish(queued)


async def _texts_in_log(run: Expired) -> tuple[str, str]:
    """The checkpoint with what the log has beyond it: the text and the reasoning that users have seen."""
    here, _ = await store.position(run.conversation_id)
    after = run.seq if run.epoch == here.epoch else 0
    entries = await store.entries(run.conversation_id, after=after, until=here.seq)
    reasoning = extend(run.reasoning, str(run.run_id), run.attempt, entries, ReasoningDelta) or run.reasoning
    return extend(run.text, str(run.run_id), run.attempt, entries) or run.text, reasoning


async def _end_or_requeue(run: Expired, text: str, reasoning: str, owner: str) -> bool:
    """Whether the run is queued now, so that its job must be published."""
    has_written = len(text) > run.base_chars or run.step_count > 0
    if not run.stop_requested and await _may_go_on(run, has_written):
        events = await in_db(requeue, run.run_id, run.attempt, owner=owner, lost=Lost(text, reasoning))
        if events is not None:
            metrics.recoveries["requeued"] += 1
            logger.warning("run_requeued", attempt=run.attempt, **run.log_context())
            await close_attempt(run.conversation_id, run.run_id, run.attempt, events)
        return events is not None
    status, code, sentence = (
        RunStatus.INTERRUPTED,
        "worker_lost",
        "The answer was interrupted. You can continue or retry.",
    )
    if run.stop_requested:
        status, code, sentence = RunStatus.STOPPED, "", ""
    elif not has_written:
        status, code = RunStatus.FAILED, "attempts_exhausted"
        sentence = f"{MAX_ATTEMPTS} workers were lost while writing this answer. Try again later."
    ending = Ending(text, reasoning=reasoning, error_code=code, error_message=sentence)
    ended = await in_db(end_run, run.run_id, run.attempt, status, ending, owner=owner)
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
    return False


async def _may_go_on(run: Expired, has_written: bool) -> bool:
    """Whether the next worker takes a run up: one that has shown no text, or goes on after its last finished step."""
    if not run.step_count:
        return not has_written and run.attempt < MAX_ATTEMPTS
    return await in_db(attempts_in_vain, run.run_id, run.attempt) < MAX_ATTEMPTS


async def sweep() -> None:
    """Publishes the jobs of queued runs again that were lost with the broker's memory, with a worker, or on the way.

    The rows say which runs wait, whatever the broker. What it says of its queue only makes the search faster: of Redis
    the next job is known, and a job that was published before it is lost; of any other broker the number of jobs.
    """
    queue = await look_at_queue()
    empty = queue.known and not queue.length
    lost = await in_db(lost_jobs, LOST_JOB_SECONDS, STALE_JOB_SECONDS, empty=empty, oldest=queue.oldest)
    if lost:
        metrics.recoveries["republished"] += len(lost)
        logger.info("jobs_republished", runs=[str(run_id) for run_id in lost])
        await announce_released(lost)
        await announce_waits(await in_db(decided_of, lost))
        await publish(lost)


async def publish(run_ids: Sequence[uuid.UUID]) -> None:
    """Publishes the jobs of queued runs. If the broker is away, the next round does it. Raises `BrokerAway`."""
    for place, run_id in enumerate(run_ids):
        try:
            await enqueue(run_id)
        except (*OUTAGE, BrokerAway):
            await in_db(note_unpublished, run_ids[place:])
            raise


async def close_endings() -> None:
    """Appends closing events whose process died between the commit and the append.

    Whether all of the text is in the log is not known, so the log begins anew: the end must not follow half a text.
    """
    ended = await in_db(unclosed_runs, UNCLOSED_SECONDS)
    if ended:
        metrics.recoveries["closed"] += len(ended)
        await close_in_log(*(replace(one, whole=one.silent) for one in ended))


async def announce_unasked() -> None:
    """Announces messages that ask nobody, whose process died between the commit and the append."""
    found = await in_db(find_unannounced, UNCLOSED_SECONDS)
    if found:
        metrics.recoveries["announced"] += len(found)
        await store.append(*found)
        await in_db(note_announced, [one.run_id for one in found if one.run_id])


async def begin_logs_anew() -> None:
    """Begins the logs anew that still have the old text of a message that moderation has rewritten."""
    if published := await publish_rewritten():
        metrics.recoveries["rewritten"] += published

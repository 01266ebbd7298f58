"""Submits a turn: checks, accepts, enqueues, announces."""

from __future__ import annotations

import asyncio
import uuid

import structlog

from accounts.lib.db import in_db
from chat.eventlog import store
from chat.eventlog.user_events import conversation_listed
from chat.jobs.dispatch import enqueue
from chat.telemetry import latency_marks, metrics, tracing
from chat.turns.accept import accept
from chat.turns.places import Accepted, AnyTurn

logger = structlog.get_logger(__name__)


async def submit(user_id: uuid.UUID, command: AnyTurn) -> Accepted:
    """`accept`, then the job goes to the workers and the news into the log, neither waiting for the other."""
    with tracing.span("turn", attributes={"db.system.name": "postgresql"}) as span:
        accepted = await in_db(accept, user_id, command)
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.conversation.id": str(accepted.conversation_id),
                    "antiphon.run.id": str(accepted.run_id),
                    "antiphon.duplicate": accepted.duplicate,
                }
            )
    latency_marks.mark(accepted.run_id, "committed")
    if accepted.duplicate:
        metrics.counted.repeats += 1
    else:
        job = asyncio.ensure_future(enqueue(accepted.run_id))
        job.add_done_callback(_log_failure)
        job.add_done_callback(lambda _: latency_marks.mark(accepted.run_id, "enqueued"))
    return accepted


async def announce(accepted: Accepted) -> store.Appended | None:
    """Appends what `submit` made to the log. Idempotent; the worker does it when this process dies before."""
    if not accepted.announcement:
        return None
    with tracing.span("announce"):
        [appended] = await store.append(
            store.Append(accepted.conversation_id, accepted.announcement, accepted.run_id, attempt=0, number=1)
        )
    latency_marks.mark(accepted.run_id, "announced")
    await latency_marks.hand_over(accepted.run_id)
    for member in accepted.members:
        await conversation_listed(member, accepted.listing)
    return appended


def _log_failure(job: asyncio.Future[None]) -> None:
    if not job.cancelled() and (error := job.exception()):
        logger.warning("enqueue_failed", error=type(error).__name__, note="the sweeper enqueues it")

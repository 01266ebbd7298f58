"""Publishes jobs for the workers: a task's name and an id. Publishing blocks, so coroutines use `enqueue`."""

from __future__ import annotations

import asyncio
import base64
import functools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
import structlog
from celery import current_app
from django.db import connection
from kombu.exceptions import OperationalError as BrokerAway

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from chat.jobs import redis_jobs
from chat.jobs.queues import FILES_QUEUE, GENERATE_QUEUE, TRANSCRIBE_QUEUE, ask_broker, broker_is_own_redis
from chat.models.statuses import ANY_JOB
from chat.telemetry import latency_marks, tracing

GENERATE: Final = "workers.tasks.generate"
TRANSCRIBE: Final = "workers.tasks.transcribe"
SPEAK: Final = "workers.tasks.speak"
READ_FILE: Final = "workers.tasks.read_file"
PUBLISHED: Final = "published"  # a header of runs' jobs: when, in seconds since 1970

_OFFER: Final = "UPDATE chat_run SET lease_owner = %s WHERE id = %s AND status = 'queued'"

logger = structlog.get_logger(__name__)

__all__ = ["GENERATE", "GENERATE_QUEUE", "BrokerAway", "Queue", "enqueue", "look_at_queue", "send_generation"]


class _Job(msgspec.Struct):
    """The part of kombu's queue entry that is read here."""

    body: str


class Queue(msgspec.Struct, frozen=True):
    """The jobs waiting in the broker. `known` is false if it does not say how many there are."""

    known: bool
    length: int = 0
    oldest: uuid.UUID | None = None  # the run whose job is next; only Redis says so


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="broker")


def offer(run_id: uuid.UUID) -> None:
    """From now on any job may claim the queued run, so that it does not wait behind all jobs that others have in the
    broker (`chat.runs.fair_order`). Who claims it becomes the lease's owner, and queued again it is offered to nobody.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OFFER, [ANY_JOB, run_id])


def send_generation(run_id: uuid.UUID, traceparent: str) -> None:
    """Publishes the job of a run with Celery's client. Raises `BrokerAway`. Blocks."""
    current_app.send_task(
        GENERATE,
        args=[str(run_id)],
        queue=GENERATE_QUEUE,
        retry=False,
        ignore_result=True,
        headers=_run_headers(traceparent),
    )


def _run_headers(traceparent: str) -> dict[str, Any]:
    return {PUBLISHED: time.time(), **(_headers(traceparent) or {})}


def _headers(traceparent: str) -> dict[str, str] | None:
    return {"traceparent": traceparent} if traceparent else None


def _sending(queue: str) -> AbstractContextManager[tracing.Span]:
    """The span of publishing a job; none outside a command's trace."""
    if not tracing.current.get():
        return tracing.use_span(tracing.NO_SPAN)
    return tracing.span(f"send {queue}", tracing.SpanKind.PRODUCER, attributes={"messaging.destination.name": queue})


async def enqueue(run_id: uuid.UUID, *, offered: bool = False) -> None:
    """Offers a queued run to all jobs, unless it is `offered` as a new answer is, and publishes its own job within the
    trace of the command that asked for it. What comes before its next attempt in the event log is there.

    Raises `BrokerAway` or `redis.RedisError` if the broker is away; nothing is lost then, since the sweeper publishes
    the job later (`chat.recovery`). Raises a database error.
    """
    if not offered:
        await in_db(offer, run_id)
    with _sending(GENERATE_QUEUE) as span:
        parent = tracing.traceparent_of(span) or tracing.current.get()
        if redis_jobs.is_possible():
            await redis_jobs.publish(GENERATE_QUEUE, GENERATE, [str(run_id)], _run_headers(parent))
        else:
            await asyncio.get_running_loop().run_in_executor(_executor(), send_generation, run_id, parent)
    latency_marks.mark(run_id, "enqueued")


async def look_at_queue() -> Queue:
    """The queue of runs: Celery adds jobs at the left of a Redis list and takes them from the right. A broker that is
    not the server of REDIS_URL is asked for the number of jobs.

    Raises `redis.RedisError` or `BrokerAway`.
    """
    if not broker_is_own_redis():
        return await asyncio.get_running_loop().run_in_executor(_executor(), _ask_broker)
    async with async_redis().pipeline(transaction=True) as pipe:
        pipe.llen(GENERATE_QUEUE)
        pipe.lindex(GENERATE_QUEUE, -1)
        length, raw = await pipe.execute()
    if raw is None:
        return Queue(known=True)
    try:
        [run_id], *_ = msgspec.json.decode(base64.b64decode(msgspec.json.decode(raw, type=_Job).body))
        return Queue(known=True, length=length, oldest=uuid.UUID(run_id))
    except (msgspec.DecodeError, ValueError, TypeError):
        return Queue(known=True, length=length)  # not a job of this program


def _ask_broker() -> Queue:
    found = ask_broker([GENERATE_QUEUE])
    return Queue(known=bool(found), length=found.get(GENERATE_QUEUE, 0))


def enqueue_transcription(recording_id: uuid.UUID) -> None:
    """Publishes the job of a recording. Raises `kombu.exceptions.OperationalError` if the broker is away. It is not
    published again, as nobody waits longer than seconds for a recording. A late job finds its recording ended
    (`chat.voice.recordings.claim`); it has no expiry, because a worker would check that by its own clock.
    """
    with _sending(TRANSCRIBE_QUEUE) as span:
        current_app.send_task(
            TRANSCRIBE,
            args=[str(recording_id)],
            queue=TRANSCRIBE_QUEUE,
            retry=False,
            ignore_result=True,
            headers=_headers(tracing.traceparent_of(span) or tracing.current.get()),
        )


def enqueue_speech(speech_id: uuid.UUID, number: int) -> None:
    """Publishes the job of a sentence to be spoken (`chat.voice.speeches`). Raises `BrokerAway`. It is not published
    again: nobody waits for it longer than seconds, and a late job finds that the sentence is wanted no more.
    """
    current_app.send_task(SPEAK, args=[str(speech_id), number], queue=TRANSCRIBE_QUEUE, retry=False, ignore_result=True)


async def enqueue_sentence(speech_id: uuid.UUID, number: int) -> None:
    """`enqueue_speech` from a coroutine."""
    await asyncio.get_running_loop().run_in_executor(_executor(), enqueue_speech, speech_id, number)


def enqueue_reading(blob_id: uuid.UUID) -> None:
    """Publishes the job that reads a stored content. If the broker is away, beat publishes it later: the content is
    `pending` until it was read.
    """
    try:
        current_app.send_task(READ_FILE, args=[str(blob_id)], queue=FILES_QUEUE, retry=False, ignore_result=True)
    except BrokerAway as error:
        logger.warning("enqueue_failed", error=type(error).__name__, blob=str(blob_id), note="beat enqueues it")

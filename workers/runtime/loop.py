"""The worker's event loop: one long-lived loop in a thread of its own, on which every stream of this process runs.

Celery's threads only claim a run and hand it over (a thread per stream would cost ten times the memory). What keeps
the runs safe is the lease, not the broker's acknowledgement: a process that dies stops renewing, and the reaper acts.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import redis
import structlog
import uvloop
from django.conf import settings

from accounts.lib import watchdog
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.jobs import worker_heartbeats
from chat.jobs.dispatch import enqueue, look_at_queue
from chat.recovery import reaper
from chat.runs import closing
from chat.runs.context import ClaimedRun
from chat.runs.lifecycle import Checkpoint, Claim, checkpoint, claim, renew, requeue
from chat.telemetry import metrics
from chat.telemetry.tracing import Span, current, span, trace_id
from chat.turns.stop import STOP_GROUP
from workers.endpoints import connection_test
from workers.endpoints.service import Roster
from workers.generation.emitter import Emitter
from workers.generation.run import Generation
from workers.generation.tracing import begin_run
from workers.providers.base import ProviderError
from workers.providers.router import Fleet
from workers.runtime.liveness import Liveness
from workers.runtime.unwatched import find_unwatched, runs_to_stop
from workers.speech.transcription import Transcriber

CATALOG_SECONDS: Final = 60.0
EARLY_SECONDS: Final = 10.0  # a stop is remembered so long for a run that is being claimed
ENDPOINTS_SECONDS: Final = 4.0  # with the web processes' own 5 (`chat.catalog`) a change is seen within 10

logger = structlog.get_logger(__name__)


class Runtime:
    """This process's loop, its model and the runs it holds."""

    model: Fleet
    roster: Roster
    emitter: Emitter

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.active: dict[uuid.UUID, Generation] = {}
        self.early_stops: dict[uuid.UUID, float] = {}  # of runs not held here, perhaps not yet; when they were heard
        self.draining = False
        self.since = time.time()
        self.takes_runs = False  # whether this worker serves the queue of answers; known when Celery is up
        self.liveness = Liveness(settings.WORKER_STUCK_SECONDS)
        self.speech = Transcriber(self.owner, self.spawn)
        self._slots = threading.BoundedSemaphore(settings.WORKER_STREAMS)
        self._loop = uvloop.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run_loop, name="streams", daemon=True)
        ready = threading.Event()
        self._thread.start()
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._open(ready)))
        if not ready.wait(timeout=30):
            raise RuntimeError("the worker's loop did not start within 30 s")

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self, ready: threading.Event) -> None:
        """Everything the first answer must not wait for."""
        watchdog.keep(self._loop)
        self.emitter = Emitter()
        self.roster = Roster()
        await self.roster.open()
        self.model = self.roster.fleet
        self.spawn(self._for_ever(self._listen, every=1.0))
        self.spawn(self._for_ever(self._renew, every=min(2.0, settings.RUN_LEASE_SECONDS / 3.5)))
        self.spawn(self._for_ever(self.roster.publish, every=CATALOG_SECONDS))
        self.spawn(self._for_ever(self.roster.look_for_changes, every=ENDPOINTS_SECONDS))
        self.spawn(self._for_ever(self._beat, every=worker_heartbeats.EVERY_SECONDS))
        metrics.gauges["runs_in_flight"] = lambda: len(self.active)
        metrics.gauges["run_slots"] = lambda: settings.WORKER_STREAMS
        self.spawn(self._for_ever(self._look_at_queue, every=min(5.0, settings.WORKER_STUCK_SECONDS / 4)))
        self.spawn(self._for_ever(self._look_for_audience, every=min(10.0, settings.UNWATCHED_GRACE_SECONDS / 4)))
        self.spawn(reaper.run())
        ready.set()

    def spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _for_ever(self, step: Callable[[], Awaitable[None]], *, every: float) -> None:
        """Repeats `step`; an outage is logged and waited out."""
        while True:
            try:
                await step()
            except OUTAGE as error:
                logger.warning("step_waits", step=step.__name__, error=type(error).__name__)
            except ProviderError as error:
                logger.warning("model_not_asked", code=error.code)
            except Exception:
                logger.exception("step_failed", step=step.__name__)
            await asyncio.sleep(every)

    # --- runs ---------------------------------------------------------------------------------------------------

    def start(self, run_id: uuid.UUID, traceparent: str = "") -> None:
        """Claims a run and starts it. Called on a Celery thread; blocks while the process is full, so that the broker
        gives the job to another worker. A run that is taken or over is left alone.
        """
        taken = time.time_ns()
        while not self._slots.acquire(timeout=0.5):
            if self.draining:
                return  # still queued in PostgreSQL: the sweeper gives it to another worker
        handed_over = False
        try:
            if self.draining:
                return
            claiming = time.time_ns()
            claimed = claim(run_id, self.owner)
            if claimed is not None:
                began = begin_run(claimed.run, traceparent, taken=taken, claiming=claiming)
                self._loop.call_soon_threadsafe(lambda: self.spawn(self._run(claimed, began)))
                handed_over = True
            else:
                metrics.recoveries["redelivered"] += 1
        finally:
            if not handed_over:
                self._slots.release()

    def hear(self, recording_id: uuid.UUID, traceparent: str = "") -> None:
        """Starts to listen to a recording. Called on a Celery thread; a recording that is taken is left alone."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(self._hear(recording_id, traceparent)))

    async def _hear(self, recording_id: uuid.UUID, traceparent: str) -> None:
        structlog.contextvars.bind_contextvars(recording=str(recording_id), trace=trace_id(traceparent))
        named = {"antiphon.recording.id": str(recording_id)}
        with span("recording", "consumer", parent=traceparent, attributes=named) as listening:
            current.set(listening.traceparent or traceparent)  # what is said and sent belongs to it
            await self.speech.transcribe(recording_id)

    def try_endpoint(self, endpoint_id: uuid.UUID, reply_to: str) -> None:
        """Tests an endpoint's connection for staff. Called on a Celery thread; what it finds goes to Redis."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(connection_test.answer(endpoint_id, reply_to)))

    def prepare_speech(self) -> None:
        """Loads the recognisers' models in the background."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(self.speech.prepare()))

    async def _run(self, claimed: Claim, span: Span) -> None:
        generation = Generation(self, claimed, span)
        self.active[claimed.run.id] = generation
        if claimed.run.id in self.early_stops:
            generation.stop()
        try:
            await generation.tell()
        finally:
            del self.active[claimed.run.id]
            self.emitter.done()
            self._slots.release()

    async def give_back(self, run: ClaimedRun) -> None:
        """A run that showed nothing goes back to the queue for the next worker."""
        events = await in_db(requeue, run.id, run.attempt, owner=self.owner)
        if events is not None:
            await closing.close_attempt(run.conversation_id, run.id, run.attempt, events)
            await enqueue(run.id)

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Leases, stops that got lost on the way, checkpoints, endings: one round for all runs of this process."""
        held = {run_id: generation.run.attempt for run_id, generation in self.active.items()}
        if held:
            leases = {lease.run_id: lease for lease in await in_db(renew, list(held), self.owner)}
            for run_id, attempt in held.items():
                generation = self.active.get(run_id)
                if generation is None:
                    continue
                lease = leases.get(run_id)
                if lease is None or lease.attempt != attempt:
                    if not generation.finishing:
                        metrics.recoveries["lease_lost"] += 1
                        logger.warning("lease_lost", attempt=attempt, **generation.run.log_context())
                        generation.lose()
                elif lease.stop_requested:
                    generation.stop()
        points: list[Checkpoint] = []
        for generation in self.active.values():
            point = None if generation.finishing else generation.log.checkpoint()
            if point is not None:
                points.append(replace(point, endpoint=generation.asked))
        if points:
            try:
                await in_db(checkpoint, points, self.owner)
            except BaseException:
                for generation in self.active.values():
                    generation.log.saved_length = -1  # PostgreSQL may not have it: again at the next round
                raise
        closed, self.emitter.closed = self.emitter.closed, []
        if closed:
            await in_db(closing.mark_ended_in_log, closed)

    async def _listen(self) -> None:
        """Hears stops at once. Repeated, so that it is set up again should the layer have been away at the start."""
        if not hasattr(self, "_channel"):
            layer = store.channel_layer()
            channel = await layer.new_channel()
            layer.attach(channel, self._on_message)
            await layer.group_add(STOP_GROUP, channel)
            self._channel = channel

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "run.stop":
            generation = self.active.get(uuid.UUID(message["run_id"]))
            if generation is not None:
                generation.stop()
            else:
                self._remember_stop(uuid.UUID(message["run_id"]))

    def _remember_stop(self, run_id: uuid.UUID) -> None:
        """Between the commit of a claim and the run's place in `active` lie milliseconds, or more on a busy machine."""
        now = time.monotonic()
        for known, heard in list(self.early_stops.items()):  # oldest first
            if now - heard < EARLY_SECONDS:
                break
            del self.early_stops[known]
        self.early_stops[run_id] = now

    async def _beat(self) -> None:
        """Says that this worker lives: on this loop and past its database threads, so that neither hangs."""
        await worker_heartbeats.beat(
            worker_heartbeats.Heartbeat(
                owner=self.owner,
                host=socket.gethostname(),
                pid=await in_db(os.getpid),
                runs=len(self.active),
                slots=settings.WORKER_STREAMS,
                draining=self.draining,
                since=self.since,
            )
        )

    async def _look_at_queue(self) -> None:
        """A worker that takes no job any more ends, so that whoever started it starts it anew."""
        if not self.takes_runs or self.draining:
            return
        queue = await look_at_queue()
        if self.liveness.is_stuck(queue.length, full=len(self.active) >= settings.WORKER_STREAMS):
            logger.critical("worker_stuck", waiting=queue.length, note="no job was taken; this process ends")
            self.draining = True
            self._loop.create_task(self._give_up())

    async def _give_up(self) -> None:
        """Hands its runs over and ends the process at once: Celery's own way out waits for the consumer that hangs."""
        try:
            await self._drain(settings.WORKER_DRAIN_SECONDS)
        finally:
            os._exit(os.EX_TEMPFAIL)

    async def _look_for_audience(self) -> None:
        """Stops answers that nobody has had open for a while, where the plan or the operator wants that."""
        runs = list(self.active.values())
        if not runs:
            return
        unwatched = await find_unwatched(generation.run.conversation_id for generation in runs)
        now, late = time.monotonic(), {}
        for generation in runs:
            if generation.run.conversation_id not in unwatched:
                generation.unwatched_since = None
            elif generation.unwatched_since is None:
                generation.unwatched_since = now
            elif now - generation.unwatched_since > settings.UNWATCHED_GRACE_SECONDS:
                late[generation.run.id] = generation
        for run_id in await in_db(runs_to_stop, late) if late else ():
            late[run_id].abandon()

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self, seconds: float) -> None:
        """Takes nothing new, lets streams finish for `seconds`, hands over the rest, and stops. Blocks."""
        self.draining = True
        asyncio.run_coroutine_threadsafe(self._drain(seconds), self._loop).result(timeout=seconds + 15)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    async def _drain(self, seconds: float) -> None:
        speech = self._loop.create_task(self.speech.aclose())
        deadline = time.monotonic() + seconds
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.active:
            logger.info("handing_over", runs=len(self.active))
        for generation in list(self.active.values()):
            generation.hand_over()
        deadline = time.monotonic() + 8
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        try:
            async with asyncio.timeout(3):
                await self.emitter.drained()
                await in_db(closing.mark_ended_in_log, self.emitter.closed)
        except OUTAGE as error:
            logger.warning("not_all_in_the_log", error=type(error).__name__, note="the sweeper appends it")
        await asyncio.wait({speech}, timeout=5)
        for task in list(self._tasks):
            task.cancel()
        try:
            await worker_heartbeats.stop_beating(self.owner)
        except (redis.RedisError, OSError) as error:
            logger.warning("heartbeat_not_ended", error=type(error).__name__)
        await self.emitter.stop()
        await self.model.close()


_runtime: Runtime | None = None
_lock = threading.Lock()


def runtime() -> Runtime:
    """The process's runtime, started at the first call (at worker start, see `workers.tasks`)."""
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = Runtime()
        return _runtime

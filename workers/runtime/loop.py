"""The worker's event loop: one loop in a thread of its own, on which every stream of this process runs.

Celery's threads only claim a run and hand it over (a thread for each stream would cost ten times the memory). The
lease keeps the runs safe, not the broker's acknowledgement: a process that dies stops renewing, and the reaper acts.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Coroutine
from typing import Any, Final

import structlog
import uvloop
from django.conf import settings

from accounts.lib import watchdog
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.jobs import processes, worker_heartbeats
from chat.jobs.dispatch import look_at_queue
from chat.jobs.queues import GENERATE_QUEUE
from chat.markdown.pool import shared_pool
from chat.moderation.answers import rules_for_answer
from chat.moderation.rules import RuleSet
from chat.recovery import reaper
from chat.runs import closing
from chat.runs.claims import Claim, requeue
from chat.runs.context import ClaimedRun
from chat.runs.lost import Lost
from chat.telemetry import metrics
from chat.telemetry.tracing import Span, SpanKind, current, span, trace_id, traceparent_of
from workers.endpoints.service import EndpointSync
from workers.endpoints.state import endpoint_states
from workers.files.jobs import ReadingJobs
from workers.generation.emitter import Emitter
from workers.generation.request_context import usable_window
from workers.generation.run import Generation
from workers.generation.services import Services
from workers.generation.titles import TitleWriter
from workers.generation.tracing import start_run_span
from workers.moderation.service import JudgeSync
from workers.runtime.fair_claims import FairClaims
from workers.runtime.in_step import keep_in_step
from workers.runtime.leases import LeaseKeeper
from workers.runtime.liveness import Liveness
from workers.runtime.rendering import FALLBACK_SECONDS, MissingHtml
from workers.runtime.repeat import repeat
from workers.runtime.stops import StopListener
from workers.runtime.unwatched import ask_on, stop_unwatched
from workers.speech.speaker import Speaker
from workers.speech.transcription import Transcriber
from workers.tools.registry import find_tools

START_SECONDS: Final = 30.0  # for the loop and the first connections
HAND_OVER_SECONDS: Final = 8.0  # for runs that are handed over at shutdown

logger = structlog.get_logger(__name__)


class Runtime:
    """This process's loop, its model and the runs it holds."""

    endpoint_sync: EndpointSync
    judge_sync: JudgeSync
    services: Services

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.active: dict[uuid.UUID, Generation] = {}
        self.missing_html = MissingHtml()
        self.stops = StopListener(self.active, self.missing_html.wake.set)
        self.draining, self.since = False, time.time()
        self.queues: frozenset[str] = frozenset()  # that this worker consumes; known when Celery is up
        self.reporter = processes.Reporter("worker", self.owner)
        self.liveness = Liveness(settings.WORKER_STUCK_SECONDS)
        self.speech, self.speaker = Transcriber(self.owner, self.spawn), Speaker(self.owner)
        self.files = ReadingJobs(self.start_soon)
        self._slots = threading.BoundedSemaphore(settings.WORKER_STREAMS)
        self._loop = uvloop.new_event_loop()
        self._claims = FairClaims(
            self.owner, lambda model: usable_window(self.endpoint_sync.router.window_of(model)), ask_on(self._loop)
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run_loop, name="streams", daemon=True)
        ready = threading.Event()
        self._thread.start()
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._open(ready)))
        if not ready.wait(timeout=START_SECONDS):
            raise RuntimeError(f"the worker's loop did not start within {START_SECONDS:g} s")

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self, ready: threading.Event) -> None:
        """Everything that the first answer must not wait for, and the housekeeping."""
        watchdog.keep(self._loop)
        self.endpoint_sync, emitter = EndpointSync(), Emitter()
        await self.endpoint_sync.open()
        router = self.endpoint_sync.router
        self.judge_sync = JudgeSync(router.facts)
        await self.judge_sync.open()
        self.services = Services(
            emitter, router, TitleWriter(router, router, self.judge_sync.panel), self.owner, self.spawn, self.give_back,
            models=router, judges=self.judge_sync.panel, find_tools=find_tools,
        )  # fmt: skip
        await self.services.embedders.open()
        leases = LeaseKeeper(self.owner, self.active, emitter)
        self.spawn(repeat(self.stops.subscribe, every=1.0))
        for step in (leases.renew, leases.save):
            self.spawn(repeat(step, every=min(2.0, settings.RUN_LEASE_SECONDS / 3.5)))
        for work in keep_in_step(self.services, self.endpoint_sync, self.judge_sync, self.takes):
            self.spawn(work)
        self.spawn(repeat(self._beat, every=worker_heartbeats.EVERY_SECONDS))
        metrics.gauges["runs_in_flight"] = lambda: len(self.active)
        metrics.gauges["run_slots"] = lambda: settings.WORKER_STREAMS
        metrics.labelled_gauges["judges_away"] = self.judge_sync.panel.away
        self.spawn(repeat(self._check_queue, every=min(5.0, settings.WORKER_STUCK_SECONDS / 4)))
        self.spawn(repeat(self._stop_unwatched, every=min(10.0, settings.UNWATCHED_GRACE_SECONDS / 4)))
        self.spawn(repeat(self.missing_html.render, every=FALLBACK_SECONDS, wake=self.missing_html.wake))
        self.spawn(reaper.run())
        shared_pool().start()
        ready.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` as a task of the loop; it is cancelled at the end of a drain. Only on the loop's thread."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- runs ---------------------------------------------------------------------------------------------------

    def start(self, run_id: uuid.UUID, traceparent: str = "", *, published: float | None = None) -> None:
        """Claims a run and starts it. Called on a Celery thread. Blocks while the process is full, so that the broker
        gives the job to another worker. `published`: see `FairClaims.claim`. A run that is claimed or has ended stays.
        """
        taken = time.time_ns()
        waited = not self._slots.acquire(blocking=False)
        while waited and not self._slots.acquire(timeout=0.5):
            if self.draining:
                return  # it stays queued in PostgreSQL: the sweeper gives it to another worker
        handed_over = False
        try:
            if self.draining:
                return
            claiming = time.time_ns()
            claimed = self._claims.claim(run_id, published, waited=waited)
            if claimed is not None:
                run_span = start_run_span(claimed.run, traceparent, received=taken, claiming=claiming)
                rules = rules_for_answer(claimed.run.user_id, claimed.run.model)
                self._loop.call_soon_threadsafe(self._start, claimed, run_span, rules)
                handed_over = True
            else:
                metrics.recoveries["redelivered"] += 1
        finally:
            if not handed_over:
                self._slots.release()

    def _start(self, claimed: Claim, run_span: Span, rules: RuleSet | None) -> None:
        run_id = claimed.run.id
        generation = Generation(self.services, claimed, lambda: self._release(generation), run_span, rules)
        if (before := self.active.get(run_id)) is not None:
            before.lose()  # this process was paused, and its run was queued again before it noticed
        self.active[run_id] = generation
        if self.stops.is_stopped(run_id):
            generation.stop()
        self.spawn(generation.run())

    def _release(self, generation: Generation) -> None:
        if self.active.get(generation.claimed.id) is generation:  # not the next attempt, claimed by this process, too
            del self.active[generation.claimed.id]
        self._slots.release()

    async def give_back(self, run: ClaimedRun, lost: Lost) -> None:
        """Puts a run with no text yet, or with finished steps, back into the queue for another worker."""
        events = await in_db(requeue, run.id, run.attempt, owner=self.owner, lost=lost)
        if events is not None:
            await closing.close_attempt(run.conversation_id, run.id, run.attempt, events)
            await reaper.publish([run.id])

    def start_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` on the loop. Called on a Celery thread."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(work))

    # --- recordings -----------------------------------------------------------------------------------

    def start_transcription(self, recording_id: uuid.UUID, traceparent: str = "") -> None:
        """Starts to transcribe a recording. Called on a Celery thread; one that is claimed already is left alone."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(self._transcribe(recording_id, traceparent)))

    async def _transcribe(self, recording_id: uuid.UUID, traceparent: str) -> None:
        structlog.contextvars.bind_contextvars(recording=str(recording_id), trace=trace_id(traceparent))
        named = {"antiphon.recording.id": str(recording_id)}
        with span("recording", SpanKind.CONSUMER, parent=traceparent, attributes=named) as transcription:
            current.set(traceparent_of(transcription) or traceparent)  # of the messages that it sends
            await self.speech.transcribe(recording_id)

    def prepare_speech(self) -> None:
        """Loads the recognisers' models in the background."""
        self._loop.call_soon_threadsafe(lambda: self.spawn(self.speech.prepare()))

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Writes this worker's heartbeat from the loop and through a database thread, so it stops when either hangs."""
        await worker_heartbeats.beat(
            worker_heartbeats.Heartbeat(
                owner=self.owner, host=socket.gethostname(), pid=await in_db(os.getpid), runs=len(self.active),
                slots=settings.WORKER_STREAMS, draining=self.draining, since=self.since,
                endpoints=endpoint_states(self.endpoint_sync.router),
            )
        )  # fmt: skip
        await self.reporter.report(draining=self.draining, queues=tuple(sorted(self.queues)))

    def takes(self, queue: str) -> bool:
        """Whether this worker takes jobs of a queue, by its name in `chat.jobs.queues`."""
        return queue in self.queues and not self.draining

    async def _check_queue(self) -> None:
        """Ends a worker that takes no more jobs, so that its supervisor restarts it."""
        if GENERATE_QUEUE not in self.queues or self.draining:
            return
        queue = await look_at_queue()
        if self.liveness.is_stuck(queue.length, full=len(self.active) >= settings.WORKER_STREAMS):
            logger.critical("worker_stuck", waiting=queue.length, note="no job was taken; this process ends")
            self.draining = True
            self._loop.create_task(self._drain_and_exit())

    async def _drain_and_exit(self) -> None:
        """Ends the process without Celery, whose own shutdown waits for the consumer that hangs."""
        try:
            await self._drain(settings.WORKER_DRAIN_SECONDS)
        finally:
            os._exit(os.EX_TEMPFAIL)

    async def _stop_unwatched(self) -> None:
        await stop_unwatched(self.active)

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self, seconds: float) -> None:
        """Claims no more runs, waits `seconds` for streams to finish, hands over the rest, stops the loop. Blocks."""
        self.draining = True
        asyncio.run_coroutine_threadsafe(self._drain(seconds), self._loop).result(timeout=seconds + 15)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    async def _drain(self, seconds: float) -> None:
        emitter = self.services.emitter
        self.files.stop()
        speech = self._loop.create_task(self.speech.aclose())
        deadline = time.monotonic() + seconds
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.active:
            logger.info("runs_handed_over", runs=len(self.active))
        for generation in list(self.active.values()):
            generation.hand_over()
        deadline = time.monotonic() + HAND_OVER_SECONDS
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        try:
            async with asyncio.timeout(3):
                await emitter.drained()
                await closing.note_closed(emitter.closed)
        except OUTAGE as error:
            logger.warning("event_log_append_unfinished", error=type(error).__name__, note="the sweeper appends it")
        await asyncio.wait({speech}, timeout=5)
        for task in list(self._tasks):
            task.cancel()
        await worker_heartbeats.stop_beating(self.owner)
        await emitter.stop()
        await self.services.model.close()
        await self.judge_sync.panel.aclose()
        await self.services.embedders.aclose()
        await self.speaker.aclose()


_runtime: Runtime | None = None
_lock = threading.Lock()


def runtime() -> Runtime:
    """The process's runtime, started at the first call (at worker start, see `workers.tasks`)."""
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = Runtime()
        return _runtime

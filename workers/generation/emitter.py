"""From tokens to the log: gathers what the streams of this process produce and appends it, many streams at a time.

The first token of an answer goes out at once. Later ones gather while an append is under way and for a window that
starts at 40 ms and widens with load; nothing waits for punctuation. One append at a time is under way per process, so
the order within a run is kept by construction, and a busy process makes few large appends instead of many small ones.

An append whose outcome is not known (Redis away, reply lost) is repeated as it was until it is known; the script skips
what it has. Meanwhile tokens gather in memory, bounded by the answers' length.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import redis
import structlog
from django.conf import settings

from chat.eventlog import events, store
from chat.runs.closing import closing as closing_of
from chat.runs.ending import Ended
from chat.runs.lifecycle import Checkpoint
from chat.telemetry.metrics import token_gap
from workers.generation.flush_window import Window

RETRY_SECONDS: Final = (0.1, 2.0)  # first and longest wait between attempts to append
LONGEST_DELTA: Final = 8_000  # code points, so that no frame is longer than 64 KiB, however far behind we are

Landed = Callable[[store.Appended], None]
logger = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


class RunLog:
    """What one attempt at an answer has produced, and how much of it the log has."""

    __slots__ = (
        "_emitter",
        "_events",
        "_flushed",
        "_pending",
        "attempt",
        "conversation_id",
        "due",
        "epoch",
        "fenced",
        "flushed_length",
        "ids",
        "in_flight",
        "number",
        "on_shown",
        "on_unannounced",
        "run_id",
        "said_at",
        "saved_length",
        "seq",
        "unannounced",
        "waiters",
    )

    def __init__(self, emitter: Emitter, conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int) -> None:
        self._emitter = emitter
        self.conversation_id = conversation_id
        self.run_id = run_id
        self.attempt = attempt
        self.ids = (str(conversation_id), str(run_id))
        self.number = 0
        self.epoch = ""
        self.seq = 0
        self.due = 0.0
        self.fenced = False
        self.unannounced = False
        self.on_unannounced: Callable[[], None] = _nothing
        self.on_shown: Callable[[], None] | None = None  # called once, when the first text is in the log
        self.in_flight: store.Append | None = None
        self.flushed_length = 0  # code points of the text that are in the log
        self.saved_length = -1  # ... and in PostgreSQL
        self.said_at = 0.0  # when text was last taken, monotonic seconds
        self._flushed: list[str] = []
        self._pending: list[str] = []
        self._events: list[events.Event] = []
        self.waiters: list[asyncio.Future[None]] = []

    # --- in -----------------------------------------------------------------------------------------------------

    def feed(self, text: str) -> None:
        """More of the answer."""
        first = not self.flushed_length and not self._pending
        self._pending.append(text)
        self._emitter.schedule(self, at_once=first)

    def event(self, event: events.Event) -> None:
        """An event that is no delta. It comes before the text that is still waiting: only `run.started` is such."""
        self._events.append(event)
        self._emitter.schedule(self, at_once=True)

    async def flush(self) -> None:
        """Waits until all so far is in the log, or the attempt is fenced."""
        if self.has_pending or self.in_flight:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            self._emitter.schedule(self, at_once=True)
            await waiter

    def abandon(self) -> None:
        """The log was away for too long: it gets no more of this run than its end, with which it begins anew."""
        self._pending.clear()
        self._events.clear()
        if self.in_flight is not None:
            self.in_flight = replace(self.in_flight, events=())

    def announced(self) -> None:
        """The log knows the run's messages now: go on."""
        self.unannounced = False
        self._emitter.schedule(self, at_once=True)

    # --- out ----------------------------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        return bool(self._pending or self._events)

    @property
    def text(self) -> str:
        """All of it, also what the log does not have yet."""
        return "".join(self._flushed) + "".join(self._pending)

    def take(self, now: float, gaps: list[float]) -> store.Append:
        """The next append: what is waiting. Stays the same until `landed`. The time since the text before goes to
        `gaps`.
        """
        if self.in_flight is None:
            made, self._events = self._events, []
            text = "".join(self._pending)
            self._pending.clear()
            if text:
                for start in range(0, len(text), LONGEST_DELTA):
                    piece = text[start : start + LONGEST_DELTA]
                    made.append(events.run_delta(*self.ids, self.attempt, self.flushed_length + start, piece))
                self._flushed.append(text)
                self.flushed_length += len(text)
                if self.said_at:
                    gaps.append(now - self.said_at)
                self.said_at = now
            self.number += 1
            self.in_flight = store.Append(self.conversation_id, made, self.run_id, self.attempt, self.number)
        return self.in_flight

    def landed(self, result: store.Appended) -> None:
        """The append under way has an outcome."""
        if result.unannounced:
            self.unannounced = True  # stays in flight, until its owner has announced the run
            self.on_unannounced()
            return
        self.in_flight = None
        if self.on_shown is not None and self.flushed_length:
            shown, self.on_shown = self.on_shown, None
            shown()
        if result.fenced:
            self.fenced = True
        if self.epoch and result.epoch != self.epoch:
            # The log was lost. Readers have PostgreSQL's text only, so that must come up to where the log goes on.
            self.saved_length = -1
        self.epoch, self.seq = result.epoch, result.seq

    def checkpoint(self) -> Checkpoint | None:
        """What PostgreSQL should hold, or None when it does."""
        if self.in_flight is not None or self.flushed_length == self.saved_length or not self.epoch:
            return None
        if len(self._flushed) > 1:
            self._flushed = ["".join(self._flushed)]
        self.saved_length = self.flushed_length
        return Checkpoint(self.run_id, self.attempt, self.epoch, self.seq, "".join(self._flushed))


class Emitter:
    """All run logs of this process, and the one task that appends for them."""

    def __init__(self, window: Window | None = None) -> None:
        self.window = window or Window()
        self._waiting: set[RunLog] = set()
        self._last_append = 0.0
        self._closing: list[tuple[Ended, Landed | None]] = []
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self.closed: list[uuid.UUID] = []  # runs whose closing event is in the log, to be noted in PostgreSQL
        self.streams = 0

    def open(self, conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int) -> RunLog:
        self.streams += 1
        return RunLog(self, conversation_id, run_id, attempt)

    def done(self) -> None:
        self.streams -= 1

    def schedule(self, run: RunLog, *, at_once: bool) -> None:
        if run.unannounced:
            return
        if at_once:
            run.due = 0.0
            self._wake.set()
        if run not in self._waiting:
            self._waiting.add(run)
            self._wake.set()

    def close_run(self, ended: Ended, landed: Landed | None = None) -> None:
        """Appends a closing event, after the run's text, in the background; not given up while this process lives.
        `landed` is told where it is in the log.
        """
        self._closing.append((ended, landed))
        self._wake.set()

    async def drained(self) -> None:
        """Waits until nothing waits any more."""
        while self._waiting or self._closing:
            self._wake.set()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._wait()
                await self._flush()
            except Exception:
                logger.exception("emitter_failed")
                await asyncio.sleep(RETRY_SECONDS[0])

    async def _wait(self) -> None:
        """Until something is due."""
        while True:
            self._wake.clear()
            if self._closing:
                return
            if self._waiting:
                due = min(run.due for run in self._waiting)
                if due > 0:  # not at once: with the next beat
                    due = max(due, self._last_append + self.window.beat)
                delay = due - time.monotonic()
                if delay <= 0:
                    return
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    self.window.woke(time.monotonic() - due)
                    return
            else:
                await self._wake.wait()

    async def _flush(self) -> None:
        now = self._last_append = time.monotonic()
        # Whatever is due soon goes along: one append of many streams costs much less than many of one.
        horizon = now + self.window.seconds / 4
        ready = [run for run in self._waiting if run.due <= horizon]
        closing, self._closing = self._closing, []
        self._waiting.difference_update(ready)
        for run in ready:
            # Before the append: a first token that comes while it is under way says "at once", and that must stand.
            run.due = now + self.window.seconds
        ends = [one for ended, _ in closing for one in closing_of(ended)]
        gaps: list[float] = []
        results = await self._append(ready, ends, now, gaps)
        if gaps and settings.METRICS:
            token_gap.observe(gaps)
        after = time.monotonic()
        self.window.flushed(after - now, self.streams)
        for run, result in zip(ready, results, strict=False):
            run.landed(result)
            if run.unannounced:
                continue
            if run.has_pending:
                self._waiting.add(run)
            else:
                for waiter in run.waiters:
                    if not waiter.done():
                        waiter.set_result(None)
                run.waiters.clear()
        self.closed += [ended.run_id for ended, _ in closing]
        if closing:
            at = {end.run_id: result for end, result in zip(ends, results[len(ready) :], strict=True)}
            for ended, landed in closing:
                if landed is not None:
                    landed(at[ended.run_id])

    async def _append(
        self, ready: list[RunLog], ends: list[store.Append], now: float, gaps: list[float]
    ) -> list[store.Appended]:
        delay, longest = RETRY_SECONDS
        while True:
            appends = [
                run.take(now, gaps) for run in ready
            ] + ends  # the same each time, but for runs that were abandoned
            try:
                return await store.append(*appends)
            except (redis.RedisError, OSError) as error:
                logger.warning("log_away", error=type(error).__name__, appends=len(appends))
                await asyncio.sleep(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, longest)

"""Appends what the streams of this process produce to the event log, many streams in one append.

The first token of an answer is appended at once, and before all later tokens of others that are due: it is in the next
append, and there it is published first. Later tokens collect while an append is under way and for a window that starts
at 40 ms and grows with load; nothing waits for punctuation. Each process has one append under way at a time. That keeps
the order within a run, and a busy process makes few large appends instead of many small ones.

An append with an unknown outcome (Redis unreachable, reply lost) is repeated unchanged until the outcome is known; the
script skips what it has already. Meanwhile tokens collect in memory, bounded by the length of the answers.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import redis
import structlog
from django.conf import settings

from chat.eventlog import store
from chat.runs.closing import closing as closing_of
from chat.runs.ending import Ended
from chat.telemetry.metrics import token_gap
from workers.generation.flush_window import FlushWindow
from workers.generation.run_log import RunLog
from workers.generation.screening import AnswerScreen

RETRY_SECONDS: Final = (0.1, 2.0)  # first and longest wait between attempts to append
MOST_AT_ONCE: Final = 64  # streams in one append: a first token that comes meanwhile waits for no more than these

OnClosed = Callable[[store.Appended], None]

_due: Final = attrgetter("due")

logger = structlog.get_logger(__name__)


class Emitter:
    """All run logs of this process, and the single task that appends for them."""

    def __init__(self, window: FlushWindow | None = None) -> None:
        self.window = window or FlushWindow()
        self._waiting: set[RunLog] = set()
        self._last_append = 0.0
        self._closing: list[tuple[Ended, OnClosed | None]] = []
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self.closed: list[uuid.UUID] = []  # runs whose closing event is in the log, to be noted in PostgreSQL
        self.streams = 0

    def open(
        self,
        conversation_id: uuid.UUID,
        run_id: uuid.UUID,
        attempt: int,
        text_before: str = "",
        screen: AnswerScreen | None = None,
        reasoning_before: str = "",
    ) -> RunLog:
        self.streams += 1
        return RunLog(self.schedule, conversation_id, run_id, attempt, text_before, screen, reasoning_before)

    def done(self) -> None:
        self.streams -= 1

    def schedule(self, run: RunLog, at_once: bool) -> None:
        """`run` has something to append: with the next append when `at_once`, else within the window."""
        if run.unannounced:
            return
        if at_once:
            run.due = 0.0
            self._wake.set()
        if run not in self._waiting:
            self._waiting.add(run)
            self._wake.set()

    def close_run(self, ended: Ended, on_closed: OnClosed | None = None) -> None:
        """Appends a closing event after the run's text, in the background, and retries as long as this process lives.
        `on_closed` is called with its position in the log.
        """
        self._closing.append((ended, on_closed))
        self._wake.set()

    async def drained(self) -> None:
        """Waits until everything has been appended."""
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
        """Waits until something is due."""
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
        # Include what is due soon: one append of many streams costs much less than many of one stream.
        horizon = now + self.window.seconds / 4
        due = sorted((run for run in self._waiting if run.due <= horizon), key=_due)  # first tokens first
        ready = due[:MOST_AT_ONCE]
        if len(due) > len(ready):
            self._last_append = 0.0  # the rest waits for no beat
        closing, self._closing = self._closing, []
        self._waiting.difference_update(ready)
        for run in ready:
            # Before the append: a first token that comes while it is under way sets `due` to 0, and that must stay.
            run.due = now + self.window.seconds
        ready = [run for run in ready if self._has_something(run)]
        if not (ready or closing):
            return
        ends = [one for ended, _ in closing for one in closing_of(ended)]
        gaps: list[float] = []
        results = await self._append(ready, ends, now, gaps)
        if gaps and settings.METRICS:
            token_gap.observe(gaps)
        after = time.monotonic()
        self.window.flushed(after - now, self.streams)
        for run, result in zip(ready, results, strict=False):
            run.note_result(result)
            if run.unannounced:
                continue
            if run.has_pending:
                self._waiting.add(run)
            else:
                run.finish_waiting()
        self.closed += [ended.run_id for ended, _ in closing]
        if closing:
            at = {end.run_id: result for end, result in zip(ends, results[len(ready) :], strict=True)}
            for ended, on_closed in closing:
                if on_closed is not None:
                    on_closed(at[ended.run_id])

    @staticmethod
    def _has_something(run: RunLog) -> bool:
        """Whether a run has something to append: what it has may all be held back."""
        if run.sift():
            return True
        run.finish_waiting()
        return False

    async def _append(
        self, ready: list[RunLog], ends: list[store.Append], now: float, gaps: list[float]
    ) -> list[store.Appended]:
        delay, longest = RETRY_SECONDS
        while True:
            # The same each time, except for runs that were abandoned in between.
            appends = [run.next_append(now, gaps) for run in ready] + ends
            try:
                return await store.append(*appends)
            except (redis.RedisError, OSError) as error:
                logger.warning("event_log_append_failed", error=type(error).__name__, appends=len(appends))
                await asyncio.sleep(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, longest)

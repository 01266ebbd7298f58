"""A timeout for many short waits of one task that uses a single timer.

`asyncio.timeout` creates and cancels a timer for each wait, which took 8 % of a worker's time for answers of many
chunks. Here the timer stays while the deadline moves, and is set again only when it fires too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class IdleTimeout:
    """`await idle_timeout.wait(something, until=moment)` returns its result, or raises `TimeoutError` at that moment.

    Moments are seconds of the loop's clock. One wait at a time; call `close` after the last one.
    A cancellation from outside remains a cancellation, as with `asyncio.timeout`.
    """

    __slots__ = ("_before", "_limit", "_loop", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None  # the task that is waiting now
        self._limit = 0.0
        self._before = 0  # its cancellation count when the wait started

    async def wait(self, something: Awaitable[T], *, until: float) -> T:
        timer = self._timer
        if timer is None or until < timer.when():
            self.close()
            self._timer = self._loop.call_at(until, self._look)
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._before = task.cancelling()
        self._limit = until
        self._task = task
        over = False
        try:
            return await something
        except asyncio.CancelledError:
            over = self._timed_out()
            if over and task.uncancel() <= self._before:  # cancelled by the timeout and by nobody else
                raise TimeoutError from None
            raise
        finally:
            if not over and self._timed_out():  # the awaitable turned the cancellation into a result or another error
                task.uncancel()
            self._task = None

    def _timed_out(self) -> bool:
        return self._task is None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nothing is waiting; the next wait sets the timer
        if self._loop.time() < self._limit:
            self._timer = self._loop.call_at(self._limit, self._look)
            return
        task, self._task = self._task, None
        task.cancel()

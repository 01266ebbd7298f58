"""A time limit for many short waits of one task, at the price of one timer.

`asyncio.timeout` makes and cancels a timer for each wait, which for an answer of many pieces was 8 % of a worker's
time. Here the timer stays where it is while the limit moves on, and is set anew only when it goes off too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class IdleTimeout:
    """`await patience.wait(something, until=moment)` gives its result, or raises `TimeoutError` at that moment.

    Moments are of the loop's clock, in seconds. One wait at a time; `close` when there will be no more.
    A cancellation from outside stays one, as with `asyncio.timeout`.
    """

    __slots__ = ("_before", "_limit", "_loop", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None  # that waits now
        self._limit = 0.0
        self._before = 0  # cancellations it had when it began to wait

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
            over = self._given_up()
            if over and task.uncancel() <= self._before:  # it was us, and only us
                raise TimeoutError from None
            raise
        finally:
            if not over and self._given_up():  # what was cancelled made something else of it
                task.uncancel()
            self._task = None

    def _given_up(self) -> bool:
        return self._task is None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next wait sets it
        if self._loop.time() < self._limit:
            self._timer = self._loop.call_at(self._limit, self._look)
            return
        task, self._task = self._task, None
        task.cancel()

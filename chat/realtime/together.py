"""Carries out together what many tasks ask for at the same time: one query for all instead of one for each."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from accounts.lib.per_loop import PerLoop

Asked = TypeVar("Asked")
Found = TypeVar("Found")

AT_ONCE: Final = 2  # calls under way in one event loop: a slow one does not hold up all others


class Together(Generic[Asked, Found]):
    """A coroutine function of one argument. `work` is called with the arguments that have come, and returns as many
    results. Alone, one is carried out at once; whoever comes while `AT_ONCE` calls are under way, with the next call.
    What `work` raises is raised to all whose arguments it got.
    """

    def __init__(self, work: Callable[[list[Asked]], Awaitable[list[Found]]]) -> None:
        self._queue = PerLoop(lambda: _Queue(work))

    async def __call__(self, asked: Asked) -> Found:
        return await self._queue().add(asked, asyncio.get_running_loop().create_future())


class _Queue(Generic[Asked, Found]):
    def __init__(self, work: Callable[[list[Asked]], Awaitable[list[Found]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Asked, asyncio.Future[Found]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, asked: Asked, future: asyncio.Future[Found]) -> asyncio.Future[Found]:
        self._waiting.append((asked, future))
        if len(self._tasks) < AT_ONCE:
            # Empty: what the log and traces know of one of those who ask is not true of the others.
            task = asyncio.create_task(self._carry_out(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def _carry_out(self) -> None:
        while self._waiting:
            batch = [(asked, future) for asked, future in self._waiting if not future.done()]  # who has not gone
            self._waiting = []
            try:
                found = await self._work([asked for asked, _ in batch]) if batch else []
            except Exception as error:  # noqa: BLE001 -- whatever it is, those who asked get it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            except asyncio.CancelledError:
                for _, future in batch:
                    future.cancel()
                raise
            for (_, future), one in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(one)

"""One object per event loop: what belongs to a loop (connections, semaphores, tasks) cannot be used in another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Made = TypeVar("Made")


class PerLoop(Generic[Made]):
    """A function that returns the object of the running event loop. `make` makes it when it is first asked for; it is
    forgotten with the loop. `close` is awaited as the loop ends.
    """

    def __init__(self, make: Callable[[], Made], *, close: Callable[[Made], Awaitable[None]] | None = None) -> None:
        self._make, self._close = make, close
        # With the generator that closes it; this is the only reference to that.
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Made, AsyncGenerator[None, None] | None]] = (
            WeakKeyDictionary()
        )

    def __call__(self) -> Made:
        loop = asyncio.get_running_loop()
        known = self._made.get(loop)
        if known is None:
            made = self._make()
            known = self._made[loop] = (made, self._await_end(loop, made))
        return known[0]

    def _await_end(self, loop: asyncio.AbstractEventLoop, made: Made) -> AsyncGenerator[None, None] | None:
        if self._close is None:
            return None
        generator = self._close_at_end(self._close, loop, made)
        with contextlib.suppress(StopIteration):  # runs to the `yield` without waiting for anything
            generator.__anext__().send(None)
        return generator

    async def _close_at_end(
        self, close: Callable[[Made], Awaitable[None]], loop: asyncio.AbstractEventLoop, made: Made
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:  # `asyncio.run` and the like close asynchronous generators before they close the loop
            self._made.pop(loop, None)  # the generator holds the loop, which would never be freed
            await close(made)

"""Lets a few sockets open, and a few subscriptions be read, at once in this process: in the order in which they came.

After a cut or a restart hundreds come within a second. Served side by side, none of them would be ready before nearly
all are, so that their time limits would pass together and their work would be done again. One after another, the first
ones are ready at once, and `command_time` sees that the servers are only busy.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from accounts.lib.per_loop import PerLoop

AT_ONCE: Final = 8
HELD_SECONDS: Final = 0.5  # after this time the next one begins, too: something slow delays nobody else for long

_queue: Final = PerLoop(lambda: asyncio.Semaphore(AT_ONCE))


@asynccontextmanager
async def in_order() -> AsyncIterator[None]:
    """Waits until it is this task's turn. To be used within a time limit."""
    queue = _queue()
    await queue.acquire()
    release = functools.cache(queue.release)  # once
    late = asyncio.get_running_loop().call_later(HELD_SECONDS, release)
    try:
        yield
    finally:
        late.cancel()
        release()

"""How long a command may take: until a server that is down is noticed, and longer while the servers are only busy."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Final

COMMAND_SECONDS: Final = 5.0  # the longest a command may take; then it is answered `unavailable`
BUSY_SECONDS: Final = 60.0  # the longest while many of its kind are under way, and some of them succeed
PROGRESS_SECONDS: Final = 1.0  # so recently the last one has succeeded then
MANY: Final = 8  # under way, in this process
_ASKED_SECONDS: Final = 0.5  # how often that is looked at once the first time is nearly over


@dataclass(slots=True)
class _Kind:
    """What is known of the commands of one kind in this process. They need the same servers."""

    under_way: int = 0
    succeeded_at: float = float("-inf")  # the last one; seconds of the loop's clock

    def is_only_busy(self, now: float) -> bool:
        return self.under_way > MANY and now - self.succeeded_at < PROGRESS_SECONDS


_kinds: defaultdict[object, _Kind] = defaultdict(_Kind)


class CommandTime:
    """An asynchronous context manager that raises `TimeoutError` when the time is over, as `asyncio.timeout` does.

    `kind`: commands of the same kind need the same servers. While many wait and others succeed, the servers are there,
    and each one's turn will come.
    """

    __slots__ = ("_ends", "_kind", "_look", "_loop", "_timeout")

    def __init__(self, kind: object) -> None:
        self._kind = _kinds[kind]
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + BUSY_SECONDS
        self._timeout = asyncio.timeout(COMMAND_SECONDS)
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._kind.under_way += 1
        # Before the end, so that it is the first of the two when the loop is late for both.
        self._look = self._loop.call_later(0.9 * COMMAND_SECONDS, self._extend)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._look is not None:
            self._look.cancel()
        self._kind.under_way -= 1
        if error is None:
            self._kind.succeeded_at = self._loop.time()
        await self._timeout.__aexit__(kind, error, at)

    def _extend(self) -> None:
        now = self._loop.time()
        until = min(now + 2 * _ASKED_SECONDS, self._ends)
        if self._kind.is_only_busy(now) and until > (self._timeout.when() or 0.0):
            self._timeout.reschedule(until)
        self._look = self._loop.call_later(_ASKED_SECONDS, self._extend) if until < self._ends else None

"""The loop that the load client's scenarios run in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.door import Door
from tests.bench.wire import Line

JOIN_AT_ONCE: Final = 32  # who come to watch; what is measured begins afterwards
WARM_UP: Final = 2  # answers of a system that is to be measured idle, not counted


class Runner:
    """The other end of standard input and output."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self.lines = lines
        self.lag = Lag()

    async def step(self, name: str, **told: Any) -> str:
        """Says where we are and waits for the runner's word."""
        print(json.dumps({"step": name, **told}), flush=True)
        line = await self.lines.readline()
        if not line:
            raise EOFError("the runner is gone")
        return line.decode().strip()


class Lag:
    """How late this process's loop is: when it is slow, its figures are its own."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self.cpu_s = 0.0
        self._began = 0.0

    def begin(self) -> None:
        self.worst_ms = 0.0
        self._began = time.process_time()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + 0.05
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self.worst_ms = max(self.worst_ms, (now - self._due) * 1000)
        self._due = now + 0.05
        self._timer = self._loop.call_at(self._due, self._tick)

    def end(self) -> dict[str, float]:
        self._timer.cancel()
        return {"client_cpu_s": time.process_time() - self._began, "client_lag_ms": self.worst_ms}


async def leave(lines: Sequence[Line], door: Door | None) -> None:
    for line in lines:
        line.close()
    open_ones = [line.closed for line in lines if not line.closed.done()]
    if open_ones:
        await asyncio.wait(open_ones, timeout=5)
    if door is not None:
        await door.close()

"""A process that claims the next attempt of a run before it has let go of the attempt before."""

from __future__ import annotations

import threading
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from workers.runtime import loop


class FakeGeneration:
    def __init__(self, services: Any, claim: Any, on_done: Any, span: Any, rules: Any) -> None:
        self.claimed = claim.run
        self.on_done = on_done
        self.lost = False

    def lose(self) -> None:
        self.lost = True

    def run(self) -> FakeGeneration:
        return self


def test_the_next_attempt_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was paused for longer than its lease. The end of the attempt before must not end the renewals of the next."""
    monkeypatch.setattr(loop, "Generation", FakeGeneration)
    runtime: Any = object.__new__(loop.Runtime)
    runtime.active, runtime.services = {}, None
    runtime.stops = SimpleNamespace(is_stopped=lambda _run_id: False)
    runtime.spawn = lambda _work: None
    runtime._slots = threading.BoundedSemaphore(2)
    run_id = uuid.uuid4()
    for _ in range(2):
        assert runtime._slots.acquire(blocking=False)
        runtime._start(SimpleNamespace(run=SimpleNamespace(id=run_id)), None, None)
        if len(runtime.active) == 1 and not hasattr(runtime, "first"):
            runtime.first = runtime.active[run_id]
    first, second = runtime.first, runtime.active[run_id]
    assert first.lost
    first.on_done()
    assert runtime.active == {run_id: second}
    second.on_done()
    assert runtime.active == {}
    assert runtime._slots.acquire(blocking=False)
    assert runtime._slots.acquire(blocking=False), "both slots are free again"

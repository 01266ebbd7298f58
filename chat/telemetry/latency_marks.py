"""Moments on the way to a first token, for `make bench` (TIMING_STAMPS=1). Otherwise a call only looks up a setting.

received → committed → enqueued → announced (web), picked_up → requested → first_chunk → appended (worker). Each is a
moment of the monotonic clock in seconds, which the processes of one machine share, and is reported in microseconds.
The web process leaves its own in Redis; the worker adds them to the closing event as `timing.stamps`.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

import msgspec
from django.conf import settings

from accounts.lib.redis import async_redis

_EXPIRY_SECONDS: Final = 60
_KEPT_RUNS: Final = 10_000  # marks of runs that nobody asks for again are dropped, oldest first
_marks: dict[uuid.UUID, dict[str, int]] = {}


def mark(run_id: uuid.UUID, name: str) -> None:
    """Notes that a run has come so far. The first time counts. Any thread may call it."""
    if settings.TIMING_STAMPS:
        _marks.setdefault(run_id, {}).setdefault(name, _microseconds(time.monotonic()))
        if len(_marks) > _KEPT_RUNS:
            _marks.pop(next(iter(_marks)), None)


async def hand_over(run_id: uuid.UUID, **moments: float) -> None:
    """Leaves this process's marks of a run, and these moments, for the worker."""
    if settings.TIMING_STAMPS:
        key = f"stamps:{run_id.hex}"
        await async_redis().hset(key, mapping={name: str(at) for name, at in _all_of(run_id, moments).items()})
        await async_redis().expire(key, _EXPIRY_SECONDS)


async def attach(run_id: uuid.UUID, event: tuple[bytes, bool], **moments: float | None) -> tuple[bytes, bool]:
    """The closing event of a run, with the marks of both processes and these moments in it."""
    if not settings.TIMING_STAMPS:
        return event
    marks = _all_of(run_id, moments)
    found: Any = await async_redis().hgetall(f"stamps:{run_id.hex}")
    marks |= {name.decode(): int(at) for name, at in found.items()}
    body = msgspec.json.decode(event[0])
    body["timing"]["stamps"] = marks
    return msgspec.json.encode(body), event[1]


def _all_of(run_id: uuid.UUID, moments: dict[str, Any]) -> dict[str, int]:
    """The process's own marks of a run, which it then forgets, and the given moments that have come."""
    return _marks.pop(run_id, {}) | {name: _microseconds(at) for name, at in moments.items() if at is not None}


def _microseconds(moment: float) -> int:
    return int(moment * 1e6)

"""Moments on a first token's way, for `make bench` (TIMING_STAMPS=1); switched off they cost an attribute look-up.

received → committed → enqueued → announced (web), picked_up → requested → first_chunk → appended (worker). Each is in
microseconds of the monotonic clock, which processes of one machine share. The web process leaves its own in Redis; the
worker adds them to the closing event as `timing.stamps`.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings

from accounts.lib.redis import async_redis

if TYPE_CHECKING:
    from chat.runs.ending import Ended

_EXPIRY_SECONDS = 60
_marks: dict[uuid.UUID, dict[str, int]] = {}


def now() -> int:
    return time.monotonic_ns() // 1000


def mark(run_id: uuid.UUID, name: str, at: int | None = None) -> None:
    """Notes a moment, the first time only."""
    if settings.TIMING_STAMPS:
        _marks.setdefault(run_id, {}).setdefault(name, at or now())


async def hand_over(run_id: uuid.UUID) -> None:
    """Leaves this process's moments for the worker."""
    if settings.TIMING_STAMPS and (marks := _marks.pop(run_id, None)):
        key = f"stamps:{run_id.hex}"
        await async_redis().hset(key, mapping={name: str(at) for name, at in marks.items()})
        await async_redis().expire(key, _EXPIRY_SECONDS)


async def attach(ended: Ended) -> Ended:
    """The closing event, with all moments in it."""
    if not settings.TIMING_STAMPS:
        return ended
    marks = dict(_marks.pop(ended.run_id, {}))
    found: Any = await async_redis().hgetall(f"stamps:{ended.run_id.hex}")
    marks |= {name.decode(): int(at) for name, at in found.items()}
    event = msgspec.json.decode(ended.event[0])
    event["timing"]["stamps"] = marks
    return replace(ended, event=(msgspec.json.encode(event), ended.event[1]))

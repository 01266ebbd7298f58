"""Housekeeping is repeated after its time, or at once when something wakes it."""

from __future__ import annotations

import asyncio

from workers.runtime.repeat import repeat


async def test_it_is_repeated_when_it_is_woken() -> None:
    """Also when that happens during a step, and when a step fails."""
    wake, ran = asyncio.Event(), asyncio.Semaphore(0)
    rounds = 0

    async def step() -> None:
        nonlocal rounds
        rounds += 1
        ran.release()
        if rounds == 1:
            wake.set()
            raise ValueError

    task = asyncio.create_task(repeat(step, every=3600, wake=wake))
    async with asyncio.timeout(30):
        await ran.acquire()
        await ran.acquire()
        wake.set()
        await ran.acquire()
    task.cancel()
    assert rounds == 3

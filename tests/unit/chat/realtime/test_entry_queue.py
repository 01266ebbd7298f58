"""Many that come at once are served in their order, a few at a time; one that hangs delays the others only shortly."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from chat.realtime import entry_queue
from chat.realtime.entry_queue import AT_ONCE, in_order


async def test_the_first_are_ready_first() -> None:
    began: list[int] = []
    inside = most = 0

    async def arrive(number: int) -> None:
        nonlocal inside, most
        async with in_order():
            began.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)  # others get their turn
            inside -= 1

    await asyncio.gather(*(arrive(number) for number in range(50)))
    assert began == list(range(50))
    assert most == AT_ONCE


async def test_one_that_hangs_delays_the_others_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_queue, "HELD_SECONDS", 0.01)
    never, entered = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        async with in_order():
            await never.wait()

    async def come() -> None:
        async with in_order():
            entered.set()

    hanging = [asyncio.create_task(hang()) for _ in range(AT_ONCE)]
    await asyncio.gather(asyncio.create_task(come()), entered.wait())
    never.set()
    await asyncio.gather(*hanging)
    await _has_all_places()


async def test_a_place_is_given_back_after_a_failure_and_after_a_cancellation() -> None:
    async def fail() -> None:
        async with in_order():
            raise ValueError

    async def wait() -> None:
        async with in_order():
            await asyncio.sleep(60)

    results = await asyncio.gather(*(fail() for _ in range(20)), return_exceptions=True)
    assert Counter(map(type, results)) == {ValueError: 20}
    waiting = [asyncio.create_task(wait()) for _ in range(20)]  # some inside, the others in the queue
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await _has_all_places()


async def _has_all_places() -> None:
    """Exactly `AT_ONCE` may be inside at the same time: no place was lost, and none given back twice."""
    inside, leave = 0, asyncio.Event()

    async def stay() -> None:
        nonlocal inside
        async with in_order():
            inside += 1
            await leave.wait()

    staying = [asyncio.create_task(stay()) for _ in range(AT_ONCE + 3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside == AT_ONCE
    leave.set()
    await asyncio.gather(*staying)

"""What many ask for at the same time is carried out together, and each gets their own."""

from __future__ import annotations

import asyncio

import pytest

from chat.realtime.together import Together


class Work:
    """Doubles numbers, once it may; refuses 13."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may = asyncio.Event()

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.calls.append(numbers)
        await self.may.wait()
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def ask_all(together: Together[int, int], numbers: list[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together(number)) for number in numbers]
    await settle()
    return tasks


async def test_alone_at_once() -> None:
    work = Work()
    work.may.set()
    assert await Together(work)(4) == 8
    assert work.calls == [[4]]


async def test_those_who_come_meanwhile_are_next() -> None:
    work = Work()
    together = Together(work)
    tasks = [task for number in (1, 2) for task in await ask_all(together, [number])]
    tasks += await ask_all(together, [3, 4, 5])
    assert work.calls == [[1], [2]]
    work.may.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert work.calls == [[1], [2], [3, 4, 5]]


async def test_an_error_is_of_those_who_were_together() -> None:
    work = Work()
    together = Together(work)
    tasks = await ask_all(together, [1, 13])
    tasks += await ask_all(together, [2])
    work.may.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError, int]
    assert await together(3) == 6, "and it goes on"


async def test_whoever_has_gone_is_not_asked_for() -> None:
    work = Work()
    together = Together(work)
    tasks = [task for number in (1, 2) for task in await ask_all(together, [number])]
    gone, stays = await ask_all(together, [3, 4])
    gone.cancel()
    await settle()
    work.may.set()
    assert await stays == 8
    assert work.calls[2:] == [[4]]
    with pytest.raises(asyncio.CancelledError):
        await gone
    await asyncio.gather(*tasks)

"""A time limit for many waits: one timer, the same meaning as `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from workers.providers.idle_timeout import IdleTimeout


@contextlib.asynccontextmanager
async def an_idle_timeout() -> AsyncIterator[IdleTimeout]:
    idle_timeout = IdleTimeout(asyncio.get_running_loop())
    yield idle_timeout
    idle_timeout.close()
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # a test is a task


def soon(seconds: float = 0.02) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_comes_in_time_comes() -> None:
    async with an_idle_timeout() as idle_timeout:
        for _ in range(3):
            assert await idle_timeout.wait(asyncio.sleep(0, "here"), until=soon(5)) == "here"


async def test_silence_is_a_timeout_each_time() -> None:
    async with an_idle_timeout() as idle_timeout:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await idle_timeout.wait(asyncio.Event().wait(), until=soon())


async def test_a_limit_that_moved_on_is_kept_by_the_first_timer() -> None:
    async with an_idle_timeout() as idle_timeout:
        await idle_timeout.wait(asyncio.sleep(0), until=soon(0.01))
        assert await idle_timeout.wait(asyncio.sleep(0.05, "later"), until=soon(5)) == "later"
        with pytest.raises(TimeoutError):
            await idle_timeout.wait(asyncio.Event().wait(), until=soon(0.01))  # nearer than the timer that is set


async def test_one_timer_for_many_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    made = 0
    call_at = loop.call_at

    def counted(*args: object) -> asyncio.TimerHandle:
        nonlocal made
        made += 1
        return call_at(*args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(loop, "call_at", counted)
    async with an_idle_timeout() as idle_timeout:
        for wait in range(100):
            await idle_timeout.wait(asyncio.sleep(0), until=soon(5 + wait))
    assert made == 1


async def test_a_cancellation_from_outside_stays_one() -> None:
    begun = asyncio.Event()

    async def waiting() -> None:
        async with an_idle_timeout() as idle_timeout:
            begun.set()
            await idle_timeout.wait(asyncio.Event().wait(), until=soon(5))

    task = asyncio.create_task(waiting())
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_a_cancellation() -> None:
    idle_timeout = IdleTimeout(asyncio.get_running_loop())
    task = asyncio.create_task(idle_timeout.wait(asyncio.Event().wait(), until=soon(0.01)))
    await asyncio.sleep(0)
    idle_timeout._look()  # not yet: the timer is set anew, nobody is cancelled
    assert task.cancelling() == 0
    idle_timeout._limit = 0.0
    idle_timeout._look()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_made_of_the_timeout_leaves_no_cancellation_behind() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("broken off") from None

    async with an_idle_timeout() as idle_timeout:
        with pytest.raises(OSError, match="broken off"):
            await idle_timeout.wait(stubborn(), until=soon())

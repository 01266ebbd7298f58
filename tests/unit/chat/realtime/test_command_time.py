"""How long a command may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from chat.realtime import command_time
from chat.realtime.command_time import MANY, CommandTime


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_time, "COMMAND_SECONDS", 0.5)
    monkeypatch.setattr(command_time, "BUSY_SECONDS", 3.0)
    monkeypatch.setattr(command_time, "PROGRESS_SECONDS", 60.0)
    monkeypatch.setattr(command_time, "_ASKED_SECONDS", 0.05)
    command_time._kinds.clear()


async def take(kind: str, seconds: float) -> bool:
    """Whether a command that takes so long is carried out."""
    try:
        async with CommandTime(kind):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return False
    return True


@pytest.fixture
async def crowd() -> AsyncIterator[list[asyncio.Task[bool]]]:
    """Many sends that are all slow."""
    tasks = [asyncio.create_task(take("send", 30)) for _ in range(MANY)]
    await asyncio.sleep(0)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_takes_long() -> None:
    assert await take("send", 0.05)
    assert not await take("send", 30)


async def test_many_of_which_none_succeeds(crowd: list[asyncio.Task[bool]]) -> None:
    assert not await take("send", 30)
    assert not any(await asyncio.gather(*crowd))


async def test_many_of_which_some_succeed(crowd: list[asyncio.Task[bool]]) -> None:
    slow = asyncio.create_task(take("send", 1.0))
    assert await take("send", 0.05)
    assert await slow


async def test_the_success_of_others_says_nothing(crowd: list[asyncio.Task[bool]]) -> None:
    """Those need other servers."""
    slow = asyncio.create_task(take("send", 30))
    assert await take("ping", 0.05)
    assert not await slow


async def test_a_server_that_fails_meanwhile(crowd: list[asyncio.Task[bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_time, "PROGRESS_SECONDS", 0.3)
    monkeypatch.setattr(command_time, "BUSY_SECONDS", 60.0)
    slow = asyncio.create_task(take("send", 60))
    assert await take("send", 0.05)
    assert not await slow  # the test's own limit of time is less than theirs


async def test_not_for_ever(crowd: list[asyncio.Task[bool]]) -> None:
    async def succeed() -> None:
        while True:
            await take("send", 0.02)

    going = asyncio.create_task(succeed())
    began = time.monotonic()
    assert not await take("send", 60)
    assert time.monotonic() - began > 2.5
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


async def test_nothing_is_left() -> None:
    assert await take("send", 0)
    await asyncio.sleep(0.8)
    assert command_time._kinds["send"].under_way == 0

"""Live shares while processes are killed and Redis comes back empty: readers catch up, with nothing lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator

import pytest

from tests.chaos.driving import Scene, answer, holder, poll, restart, scene
from tests.fakes.openai_server import FakeOpenAI
from tests.history import Reader
from tests.stack import Stack
from tests.watching import Watcher, watcher

SYSTEM = {
    "web": 2,
    "workers": 2,
    "env": {"SHARE_WITH_ANYONE": "1", "RUN_LEASE_SECONDS": "5", "DRAIN_SECONDS": "2", "RATE_SHARE_OPENS": "off"},
}

pytestmark = pytest.mark.asyncio(loop_scope="function")


@contextlib.asynccontextmanager
async def readers_of(here: Scene, conversation: str, count: int) -> AsyncGenerator[tuple[list[Watcher], str], None]:
    """Readers without an account, half of them at each web process, who come back whenever they lose their stream."""
    form = {"kind": "live", "audience": "anyone", "days": "30", "names": "0"}
    answered = await here.alice.post(f"/c/{conversation}/shares/new/", form)
    made = await answered.json()
    assert answered.status == 200, made
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(watcher(made["url"])) for _ in range(count)]
        tasks = []
        for number, one in enumerate(readers):
            urls = [web.url for web in here.stack.webs]
            turn = iter(range(number, 10**6))
            tasks.append(
                asyncio.create_task(one.keep_open(at=lambda urls=urls, turn=turn: urls[next(turn) % 2], stop=stop))  # type: ignore[misc]
            )
            record = Reader(conversation, one.events, one.times, names=False)
            here.history.readers.append(record)
        for one in readers:
            await poll(lambda one=one: one.snapshots, "a snapshot for each")  # type: ignore[misc]
        try:
            yield readers, made["link_id"]
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def all_see(readers: list[Watcher], run_id: str, text: str) -> None:
    deadline = time.monotonic() + 40
    for one in readers:
        while not ((run := one.runs.get(run_id)) and run["ended"] == "run.done"):
            assert time.monotonic() < deadline, (one.status, one.last, one.events[-3:])
            await asyncio.sleep(0.05)
        assert run["text"] == text


async def test_a_killed_web_process_and_a_killed_worker(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    async with scene(stack) as here:
        author = await here.connect(at=stack.url)
        first = await here.say(author, "First [[tokens=5]]")
        await author.ended(first["run_id"])
        async with readers_of(here, first["conversation_id"], 10) as (readers, _):
            accepted = await here.say(author, "Long [[tokens=200 rate=40]]", first["conversation_id"])
            await author.shows(accepted["run_id"], 40)
            stack.webs[1].kill(signal.SIGKILL)
            await all_see(readers, accepted["run_id"], answer(200))
            await restart(stack.webs[1])
            waiting = await here.say(author, "Next [[first_delay=3 tokens=60 rate=60]]", first["conversation_id"])
            worker = await poll(lambda: _holder(stack, waiting["run_id"]), "a worker that has it")
            worker.kill(signal.SIGKILL)  # before the first word: another attempt follows
            await all_see(readers, waiting["run_id"], answer(60))
            await restart(worker)
        await here.judge()


def _holder(stack: Stack, run_id: str):  # type: ignore[no-untyped-def]
    with contextlib.suppress(StopIteration):
        return holder(stack, run_id)
    return None


async def test_redis_comes_back_empty(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    async with scene(stack) as here:
        author = await here.connect(at=stack.url)
        first = await here.say(author, "First [[tokens=5]]")
        await author.ended(first["run_id"])
        async with readers_of(here, first["conversation_id"], 10) as (readers, link):
            accepted = await here.say(author, "Long [[tokens=250 rate=40]]", first["conversation_id"])
            await author.shows(accepted["run_id"], 40)
            await asyncio.to_thread(stack.redis.kill)
            await asyncio.to_thread(stack.redis.start)
            await all_see(readers, accepted["run_id"], answer(250))
            assert all(one.snapshots >= 2 for one in readers), "everybody was told that the log was lost"
            after = await here.say(author, "After [[tokens=10]]", first["conversation_id"])
            await all_see(readers, after["run_id"], answer(10))
            await here.alice.post(f"/c/{first['conversation_id']}/shares/{link}/revoke/")
            for record in here.history.readers:
                record.ended_at = time.monotonic()
            for one in readers:
                await one.closed()
            last = await here.say(author, "Not for readers [[tokens=10]]", first["conversation_id"])
            await author.ended(last["run_id"])
            assert all(last["run_id"] not in one.runs for one in readers)
        await here.judge()

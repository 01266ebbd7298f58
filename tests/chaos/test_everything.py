"""Everything ends again and again while three pages chat: all at once, one after the other, or frozen (R22)."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
import uuid
from collections.abc import Iterable
from typing import Any

import pytest

from tests.chaos import people
from tests.chaos.driving import scene
from tests.chaos.people import Hand, Page, World
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Process, Stack, Web, Worker

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.long]

SECONDS = 60.0  # of each trial
CONVERSATIONS = 20  # of each page
LEASE = 3.0
SYSTEM = {
    "web": 2,
    "workers": 2,
    "beat": True,
    "env": {"RUN_LEASE_SECONDS": str(LEASE), "LOGIN_RATE": "100000/m/ip", "WORKER_DRAIN_SECONDS": "2"},
}
SCRIPTS = ("tokens=5", "tokens=60 rate=40", "tokens=150 rate=40", "tokens=20 first_delay=2 rate=40")


class Crowd(World):
    """Pages that look for a web process which answers; processes are started again by the test."""

    def any_web(self) -> str:
        self.turn += 1
        ready = [web for web in self.stack.webs if not web.has_ended() and web.status("/livez") == 200]
        return (ready or self.stack.webs)[self.turn % len(ready or self.stack.webs)].url


async def chat(world: Crowd, page: Page, over: asyncio.Event) -> int:
    """Sends one message after the other, each until somebody has accepted it; how many.

    A socket follows at most 100 conversations, and the judge follows those of all pages.
    """
    sent, conversations = 0, list[str]()
    while not over.is_set():
        text = f"{sent} [[{random.choice(SCRIPTS)}]]"
        fields: dict[str, Any] = {"client_id": str(uuid.uuid4()), "text": text, "ask": True}
        new = len(conversations) < CONVERSATIONS
        fields["conversation_id"] = None if new else conversations[sent % CONVERSATIONS]
        reply = await world.ask(page, "message.send", **fields)
        if reply.get("code") != "busy":  # its answer is still being written
            assert reply["type"] == "message.accepted", reply
            sent += 1
            if new:
                conversations.append(reply["conversation_id"])
        await asyncio.sleep(random.uniform(0.2, 1.0))
    return sent


async def kill(world: Crowd, processes: Iterable[Process], sig: signal.Signals) -> None:
    """Ends processes, and starts them again as `up` does."""
    processes = list(processes)
    for process in processes:
        process.kill(sig)
    for process in processes:
        if sig != signal.SIGKILL:
            await asyncio.to_thread(process.wait, 40)
        world.start_again(process)


async def freeze(process: Process, seconds: float) -> None:
    process.kill(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.kill(signal.SIGCONT)


async def await_ready(stack: Stack) -> None:
    processes: list[Web | Worker] = [*stack.webs, *stack.workers]
    for process in processes:
        await asyncio.to_thread(process.await_ready)


async def break_things(world: Crowd, stack: Stack, how: str) -> int:
    """Does it once every few seconds, once what ended before is back; how often."""
    over, times = time.monotonic() + SECONDS, 0
    workers = itertools.cycle(stack.workers)
    everybody = itertools.cycle(stack.processes)
    while time.monotonic() < over:
        began, times = time.monotonic(), times + 1
        if how == "all at once":
            await kill(world, stack.processes, signal.SIGKILL)
        elif how == "all in turn":
            await kill(world, [next(everybody)], signal.SIGKILL)
        elif how == "stopped in turn":
            await kill(world, [next(everybody)], signal.SIGTERM)
        elif how == "workers in turn":
            await kill(world, [next(workers)], signal.SIGKILL)
        else:
            await freeze(next(workers), random.uniform(12, 18))
        every = 8.0 if how == "all at once" else 4.0
        await await_ready(stack)
        await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))
    return times


@pytest.mark.parametrize(
    "how", ["all at once", "all in turn", "stopped in turn", "workers in turn", "workers frozen in turn"]
)
async def test_r22_everything_ends_again_and_again(
    new_system: tuple[Stack, FakeOpenAI], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AWAY_SECONDS", 120.0)  # on a busy machine processes start slowly
    stack, _ = new_system
    [row] = stack.sql("SELECT clock_timestamp() AS now")
    began = row["now"]
    hand = Hand(stack)
    async with scene(stack) as here:
        world = Crowd(stack, here, hand)
        world.pages = [Page("alice") for _ in range(3)]
        for page in world.pages:  # one after the other: they share a log-in
            await world.socket(page)
        over = asyncio.Event()
        chatting = [asyncio.create_task(chat(world, page, over)) for page in world.pages]
        try:
            times = await break_things(world, stack, how)
        finally:
            over.set()
        sent = sum(await asyncio.gather(*chatting))
        await await_ready(stack)
        took = await here.history.settle(stack, 40)
        measured(f"R22 {how}: {sent} messages, {times} times; at rest after", round(took, 1))
        rows = stack.sql(
            "SELECT status, count(*) AS n FROM chat_run WHERE created_at > %s GROUP BY status ORDER BY status", began
        )
        measured(f"R22 {how}: ends", str({row["status"]: row["n"] for row in rows}))
        for page in world.pages:  # as a page does, whatever its process went through
            await world.socket(page)
        await here.judge(30)
        await world.close()
    hand.close()

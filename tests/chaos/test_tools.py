"""Workers that are killed while answers call tools: each answer ends whole, each call has one result (R29, I13)."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from typing import Any

import pytest

from tests.chaos.driving import answer, holder, poll, restart, scene
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

LEASE = 4.0
SYSTEM = {"web": 1, "workers": 2, "env": {"RUN_LEASE_SECONDS": str(LEASE), "WORKER_DRAIN_SECONDS": "2"}}
ZONES = ["UTC", "Europe/Berlin", "Asia/Tokyo", "Nowhere/None"]


def asking(zones: list[str]) -> str:
    calls = " ".join(f"call=current_time {json.dumps({'time_zone': zone})}" for zone in zones)
    return f"[[{calls}]]"


def calls_of(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    return stack.sql(
        "SELECT status, tries, output FROM chat_toolcall WHERE run_id = %s ORDER BY place", run_id
    )  # fmt: skip


async def stepped(stack: Stack, run_id: str) -> None:
    await poll(lambda: stack.sql("SELECT 1 FROM chat_run WHERE id = %s AND step_count > 0", run_id), "a step", 30)


async def known_tools(stack: Stack) -> None:
    """Workers have published their own tools."""
    await poll(lambda: stack.sql("SELECT 1 FROM chat_knowntool WHERE name = 'current_time'"), "a known tool", 30)


async def test_r29_a_worker_killed_after_the_calls(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGKILL in the middle of the text after the calls: the next worker goes on after them, and makes none again."""
    stack, upstream = system
    await known_tools(stack)
    async with scene(stack) as here:
        client, watcher = await here.connect(), await here.connect()
        upstream.script = Script(tokens=200, rate=25)
        accepted = await here.say(client, asking(ZONES))
        await watcher.ask("subscribe", conversation_id=accepted["conversation_id"])
        await client.shows(accepted["run_id"], 60)
        victim = await asyncio.to_thread(holder, stack, accepted["run_id"])
        victim.kill()
        for reader in (client, watcher):
            run = await reader.ended(accepted["run_id"], seconds=60)
            assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 2, answer(200))
        made = await asyncio.to_thread(calls_of, stack, accepted["run_id"])
        assert [(call["status"], call["tries"]) for call in made] == [("ok", 1)] * 3 + [("error", 1)]
        asked = [request for request in upstream.chats if request.body["messages"][-1]["role"] == "user"]
        assert len(asked) == 1, "the first request was not made again"
        restarting = asyncio.create_task(restart(victim))
        await here.judge(30)
        await restarting


async def test_r29_workers_die_and_drain_among_answers_with_tools(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGKILL and SIGTERM in turn while a dozen answers call tools; nothing is lost or repeated, and nothing hangs."""
    stack, upstream = system
    await known_tools(stack)
    async with scene(stack) as here:
        client = await here.connect()
        upstream.script = Script(tokens=60, rate=30)
        runs = [await here.say(client, asking(random.sample(ZONES, random.randint(1, 4)))) for _ in range(12)]
        for number, sig in enumerate([signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]):
            await stepped(stack, runs[number]["run_id"])
            victim = stack.workers[number % 2]
            victim.kill(sig)
            await asyncio.sleep(random.uniform(0.2, 1.0))
            await restart(victim)
        for accepted in runs:
            run = await client.ended(accepted["run_id"], seconds=90)
            made = await asyncio.to_thread(calls_of, stack, accepted["run_id"])
            if run["ended"] == "run.done":
                assert run["text"] == answer(60)
                assert {call["status"] for call in made} <= {"ok", "error"}
        await here.judge(40)

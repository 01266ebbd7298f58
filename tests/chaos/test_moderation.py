"""Moderation while processes end: what was withheld stays withheld, and a held message is answered once (R26)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from chat.moderation.rules import RELOAD_SECONDS
from tests.chaos.driving import WAITS_FOR_LOCK, answer, holder, poll, restart, scene
from tests.chaos.people import Hand, restart_redis
from tests.chaos.test_locks import lock
from tests.client import Client
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.redis_contents import redis_contents
from tests.fixtures.stack_rules import rules_of
from tests.stack import Stack, Web, Worker

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

BLOCKED, HELD = "tok12", "Kryptonite"
SYSTEM = {"web": 1, "workers": 2, "env": {"RUN_LEASE_SECONDS": "3"}}
BLOCK: dict[str, Any] = {"name": "blocks", "action": "block", "words": [BLOCKED]}
HOLD: dict[str, Any] = {"name": "holds", "action": "hold", "words": [HELD]}


@pytest.fixture
def _block(system: tuple[Stack, FakeOpenAI]) -> Iterator[None]:
    with rules_of(system[0], BLOCK):
        yield


@pytest.fixture
def _hold(system: tuple[Stack, FakeOpenAI]) -> Iterator[None]:
    with rules_of(system[0], HOLD, directions=("asked",)):
        yield


async def blocks(stack: Stack, client: Client) -> None:
    """Waits until the rule is in force in every worker."""
    await asyncio.sleep(RELOAD_SECONDS + 1)  # an answer before that would have the word in its log
    blocking: set[str] = set()
    async with asyncio.timeout(90):
        while len(blocking) < len(stack.workers):
            accepted = await client.say("Probe [[tokens=20 rate=20]]")
            await client.shows(accepted["run_id"], 4)
            worker = holder(stack, accepted["run_id"])
            if (await client.ended(accepted["run_id"]))["ended"] == "run.stopped":
                blocking.add(worker.name)


async def holds(stack: Stack, client: Client) -> None:
    """Waits until the rule is in force in the web process; withdraws the message that showed it."""
    query = "SELECT 1 FROM chat_message WHERE id = %s AND moderation->>'action' = 'hold'"
    async with asyncio.timeout(60):
        while True:
            accepted = await client.say(f"Probe {HELD} [[tokens=1]]")
            if stack.sql(query, accepted["message_id"]):
                break
            await asyncio.sleep(0.2)
    assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"


@pytest.mark.usefixtures("_block")
async def test_r26_a_worker_dies_between_a_hit_and_its_commit(system: tuple[Stack, FakeOpenAI]) -> None:
    """The answer ends as interrupted with what was shown of it; the blocked word was never sent and is nowhere."""
    stack, _ = system
    async with scene(stack, withheld=[BLOCKED]) as here:
        client = await here.connect()
        await blocks(stack, client)
        accepted = await here.say(client, "Go on [[tokens=40 rate=20]]")
        await client.shows(accepted["run_id"], len(answer(4)))
        [row] = stack.sql("SELECT message_id AS id FROM chat_run WHERE id = %s", accepted["run_id"])
        with lock(stack, "SELECT FROM chat_message WHERE id = %s FOR UPDATE", row["id"]):
            await client.shows(accepted["run_id"], len(answer(12)) - 1)
            await poll(lambda: stack.sql(WAITS_FOR_LOCK), "the commit of the block")
            worker = holder(stack, accepted["run_id"])
            worker.kill(signal.SIGKILL)
        run = await client.ended(accepted["run_id"], 30)
        assert run["ended"] == "run.interrupted"
        assert answer(12).startswith(run["text"])
        assert len(run["text"]) >= len(answer(12)) - 1
        await restart(worker)
        with redis.Redis.from_url(stack.env["REDIS_URL"]) as contents:
            assert BLOCKED not in redis_contents(contents)
        await here.judge()


@pytest.mark.usefixtures("_hold")
async def test_r26_a_held_message_outlives_everything(system: tuple[Stack, FakeOpenAI]) -> None:
    """It waits through the end of every process and an empty Redis; when it is released, it is answered once."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()
        await holds(stack, client)
        held = await here.say(client, f"About {HELD} [[tokens=9]]")
        [row] = stack.sql("SELECT status FROM chat_run WHERE id = %s", held["run_id"])
        assert row["status"] == "waiting"
        processes: list[Web | Worker] = [*stack.workers, *stack.webs]
        for process in processes:
            process.kill(signal.SIGKILL)
        await asyncio.to_thread(restart_redis, stack.redis, empty=True)
        for process in processes:
            await restart(process)
        [case] = stack.sql("SELECT id FROM chat_moderationcase WHERE target_id = %s", held["message_id"])
        asked = len(upstream.requests)
        hand = Hand(stack)
        try:
            hand.do(f"from chat.turns.releasing import release_held; release_held({str(case['id'])!r})")
        finally:
            hand.close()
        client = await here.connect()
        await client.ask("subscribe", conversation_id=held["conversation_id"])
        run = await client.ended(held["run_id"], 40)
        assert (run["ended"], run["text"]) == ("run.done", answer(9))
        assert len(upstream.requests) == asked + 1
        await here.judge()

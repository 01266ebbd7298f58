"""Workers that are killed, stopped, frozen, or handed the same job again and again (R1-R5)."""

from __future__ import annotations

import asyncio
import random
import signal
import time
import uuid
from typing import Any

import pytest
from celery import Celery

from chat.jobs.dispatch import GENERATE
from chat.jobs.queues import GENERATE_QUEUE
from config.env import broker_url
from tests.chaos.driving import answer, holder, poll, restart, scene
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Stack

LEASE = 4.0
TAKEN_OVER = LEASE + 5.5  # seconds: the reaper's round, the next worker's start, and noise; 10 s in all at the default
SYSTEM = {
    "web": 1,
    "workers": 2,
    "env": {"RUN_LEASE_SECONDS": str(LEASE), "WORKER_DRAIN_SECONDS": "2", "CHAT_MODELS": "small,medium,large"},
}
pytestmark = pytest.mark.asyncio(loop_scope="function")


def prompts(upstream: FakeOpenAI, text: str) -> int:
    """How many requests the model got for a prompt."""
    return sum(request.body["messages"][-1]["content"].startswith(text) for request in upstream.chats)


async def running(stack: Stack, run_id: str, attempt: int = 1) -> None:
    query = "SELECT 1 FROM chat_run WHERE id = %s AND status = 'running' AND attempt = %s"
    await poll(lambda: stack.sql(query, run_id, attempt), f"attempt {attempt} of a run", 20)


async def test_r1_a_killed_worker(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGKILL with a dozen answers under way: some before their first word, some in the middle, none lost."""
    stack, _ = system
    async with scene(stack) as here:
        client, watcher = await here.connect(), await here.connect()
        texts = [f"Late {n} [[tokens=20 first_delay=2.5]]" for n in range(4)]
        texts += [f"Long {n} [[tokens=400 rate={random.randint(40, 90)}]]" for n in range(8)]
        runs = [await here.say(client, text) for text in texts]
        for accepted in runs[:6]:
            await watcher.ask("subscribe", conversation_id=accepted["conversation_id"])
        for accepted in runs[4:]:
            await client.shows(accepted["run_id"], random.randint(1, 200))
        victim = await asyncio.to_thread(holder, stack, runs[4]["run_id"])
        query = "SELECT id::text FROM chat_run WHERE lease_owner LIKE %s AND status = 'running'"
        held = {row["id"] for row in stack.sql(query, f"%:{victim.pid}:%")}
        victim.kill()
        killed = time.monotonic()
        assert len(held) >= 2, "the test needs several runs on the killed worker"
        seconds = []
        for accepted in runs:
            run = await client.ended(accepted["run_id"], seconds=TAKEN_OVER + 12)
            if accepted["run_id"] in held:
                if run["ended"] == "run.interrupted":
                    seconds.append(client.times[client.frames.index(run["final"])] - killed)
                    assert run["text"], "only what showed something is interrupted"
                    assert run["final"]["code"] == "worker_lost"
                else:
                    assert (run["ended"], run["attempt"]) == ("run.done", 2), "what showed nothing is done by another"
            else:
                assert run["ended"] == "run.done"
        restarting = asyncio.create_task(restart(victim))
        await here.judge()
        await restarting
        assert seconds, "something was interrupted"
        measured("R1 a killed worker", round(max(seconds), 1))
        assert max(seconds) < TAKEN_OVER


async def test_r1_a_killed_worker_and_answers_side_by_side(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGKILL while three models answer one message, two clients come and go: each answer ends once, by itself."""
    stack, _ = system
    models = ["small", "medium", "large"]
    async with scene(stack) as here:
        client, views = await here.connect(), {}  # type: ignore[var-annotated]
        accepted = await client.say("Compare [[tokens=200 rate=25]]", models=models)
        runs = {one["model"]: one for one in accepted["runs"]}
        conversation = accepted["conversation_id"]
        for one in runs.values():
            await client.shows(one["run_id"], 40)
        watcher = await here.connect(views=views)
        await watcher.ask("subscribe", conversation_id=conversation)
        victim = await asyncio.to_thread(holder, stack, runs["medium"]["run_id"])
        query = "SELECT id::text FROM chat_run WHERE lease_owner LIKE %s AND status = 'running'"
        held = {row["id"] for row in stack.sql(query, f"%:{victim.pid}:%")}
        victim.kill()
        await watcher.drop()  # and resumes in the middle of all three
        watcher = await here.connect(views=views)
        position = {"epoch": views[conversation].epoch, "seq": views[conversation].seq}
        await watcher.ask("subscribe", conversation_id=conversation, position=position)
        for one in runs.values():
            lost = one["run_id"] in held
            for reader in (client, watcher):
                run = await reader.ended(one["run_id"], seconds=TAKEN_OVER + 20)
                assert run["ended"] == ("run.interrupted" if lost else "run.done")
                assert run["text"] if lost else run["text"] == answer(200)
        restarting = asyncio.create_task(restart(victim))
        # Those that were cut are asked again beside the others, which stay as they are.
        for one in runs.values():
            if one["run_id"] in held:
                again = await client.ask(
                    "message.regenerate", message_id=one["message_id"], client_id=str(uuid.uuid4()), model=one["model"]
                )
                assert (await client.ended(again["run_id"]))["text"] == answer(200)
        early = await client.say("Next", conversation, parent_id=runs["small"]["message_id"])
        assert (await client.ended(early["run_id"]))["ended"] == "run.done"
        refused = await watcher.ask("answer.choose", message_id=runs["large"]["message_id"])
        assert refused["code"] == "conflict"
        await here.judge()
        await restarting


async def test_r2_a_stopped_worker_hands_over(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGTERM: short answers finish, silent ones go to the next worker, long ones end with what they have."""
    stack, _ = system
    async with scene(stack) as here:
        client = await here.connect()
        texts = {
            "short": "[[tokens=40 rate=40]]",
            "silent": "[[tokens=5 first_delay=6]]",
            "long": "[[tokens=2000 rate=50]]",
        }
        runs = {
            (name, n): await here.say(client, f"{name} {n} {text}") for name, text in texts.items() for n in range(3)
        }
        for (name, _), accepted in runs.items():
            await (running(stack, accepted["run_id"]) if name == "silent" else client.shows(accepted["run_id"], 1))
        victim = await asyncio.to_thread(holder, stack, runs["long", 0]["run_id"])
        query = "SELECT id::text FROM chat_run WHERE lease_owner LIKE %s AND status = 'running'"
        held = {row["id"] for row in stack.sql(query, f"%:{victim.pid}:%")}
        victim.kill(signal.SIGTERM)
        told = time.monotonic()
        late = await here.say(client, "While it goes [[tokens=3]]")
        assert (await client.ended(late["run_id"]))["ended"] == "run.done"
        assert await asyncio.to_thread(victim.wait, 10) == 0
        took = time.monotonic() - told
        restarting = asyncio.create_task(restart(victim))
        for (name, n), accepted in runs.items():
            if accepted["run_id"] not in held and name == "long":
                assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
                continue
            run = await client.ended(accepted["run_id"])
            if name == "short":
                assert (run["ended"], run["text"]) == ("run.done", answer(40)), (name, n)
            elif name == "silent":
                assert (run["ended"], run["text"]) == ("run.done", answer(5)), (name, n)
                assert run["attempt"] == (2 if accepted["run_id"] in held else 1)
            else:
                assert (run["ended"], run["final"]["code"]) == ("run.interrupted", "worker_stopped")
                assert len(run["text"]) > 100
        await here.judge()
        await restarting
        measured("R2 a stopped worker hands over", round(took, 1))
        assert took < 2 + 5, "it ended within its drain and a moment"


async def test_r3_a_frozen_worker_is_fenced(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGSTOP past the lease, then SIGCONT: what it still says reaches nobody."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()
        shown = await here.say(client, "Shown [[tokens=300 rate=40]]")
        await client.shows(shown["run_id"], 40)
        victim = await asyncio.to_thread(holder, stack, shown["run_id"])
        silent: list[dict[str, Any]] = []
        while not silent:  # one more that this worker holds and that has said nothing
            accepted = await here.say(client, "Silent [[tokens=60 rate=30 first_delay=1.5]]")
            await running(stack, accepted["run_id"])
            if await asyncio.to_thread(holder, stack, accepted["run_id"]) is victim:
                silent.append(accepted)
        victim.kill(signal.SIGSTOP)
        began = time.monotonic()
        try:
            run = await client.ended(shown["run_id"], seconds=TAKEN_OVER)
            assert (run["ended"], run["final"]["code"]) == ("run.interrupted", "worker_lost")
            measured("R3 a frozen worker is fenced", round(time.monotonic() - began, 1))
            await client.until(lambda: client.shown(silent[0]["run_id"]), "words of the second attempt")
        finally:
            victim.kill(signal.SIGCONT)
        run = await client.ended(silent[0]["run_id"])
        assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 2, answer(60))
        lost = "lease_lost", "run_lost"
        await poll(lambda: any(word in victim.output() for word in lost), "sign that it noticed")
        after = await here.say(client, "After [[tokens=3]]")
        assert (await client.ended(after["run_id"]))["ended"] == "run.done"
        await here.judge()
        assert prompts(upstream, "Shown") == 1


async def test_r4_one_job_delivered_many_times(system: tuple[Stack, FakeOpenAI]) -> None:
    """Before, while and after it runs: one request to the model, one answer, one bill."""
    stack, upstream = system
    broker = Celery(broker=broker_url(stack.redis.url), set_as_current=False)
    async with scene(stack) as here:
        client = await here.connect()
        accepted = await here.say(client, "Many times [[tokens=40 rate=40 first_delay=0.3]]")

        def deliver() -> None:
            for _ in range(5):
                broker.send_task(GENERATE, args=[accepted["run_id"]], queue=GENERATE_QUEUE, ignore_result=True)

        for _ in range(2):
            await asyncio.to_thread(deliver)
            await asyncio.sleep(0.2)
        run = await client.ended(accepted["run_id"])
        assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(40))
        await asyncio.to_thread(deliver)
        marker = await here.say(client, "Marker [[tokens=1]]")
        await client.ended(marker["run_id"])
        await here.judge()
        assert prompts(upstream, "Many times") == 1
        [row] = stack.sql("SELECT attempt, output_tokens FROM chat_run WHERE id = %s", accepted["run_id"])
        assert row == {"attempt": 1, "output_tokens": 40}
    broker.close()


async def test_r5_a_poison_job_is_given_up(system: tuple[Stack, FakeOpenAI]) -> None:
    """Whoever takes it dies. The third time is the last; meanwhile others are answered."""
    stack, upstream = system
    upstream.reset()
    async with scene(stack) as here:
        client = await here.connect()
        poison = await here.say(client, "Poison [[tokens=5 first_delay=60]]")
        began = time.monotonic()
        restarts = []
        for attempt in (1, 2, 3):
            await running(stack, poison["run_id"], attempt)
            await asyncio.to_thread(upstream.wait_chats, attempt * 2 - 1)
            victim = await asyncio.to_thread(holder, stack, poison["run_id"])
            victim.kill()
            restarts.append(asyncio.create_task(restart(victim)))
            other = await here.say(client, f"Other {attempt} [[tokens=3]]")
            assert (await client.ended(other["run_id"], seconds=TAKEN_OVER + 10))["ended"] == "run.done"
        run = await client.ended(poison["run_id"], seconds=TAKEN_OVER + 5)
        measured("R5 a poison job is given up", round(time.monotonic() - began, 1))
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "attempts_exhausted")
        assert "3 workers were lost" in run["final"]["message"]
        await asyncio.gather(*restarts)
        await here.judge()
        assert prompts(upstream, "Poison") == 3

"""Workers that are killed while answers call tools: each answer ends whole, each call has one result (R29, I13), and
what writes happens once and after somebody has allowed it (I14).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from typing import Any

import pytest

from tests.chaos.driving import Scene, answer, holder, poll, restart, scene
from tests.client import Client
from tests.fakes.mcp_server import running
from tests.fakes.notebook import Notebook, set_up
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.history.effects import check_effects
from tests.stack import Stack, Worker

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


def notes(number: int) -> str:
    """A message that has the model write two notes."""
    calls = " ".join(f"call=write_note {json.dumps({'body': {'text': f'{number}, {one}'}})}" for one in "ab")
    return f"[[{calls}]]"


async def decide_all(stack: Stack, notebook: Notebook, people: list[Client]) -> None:
    """Two people allow what waits, both at once; one call in ten they deny. What may have happened they look up, as
    soon as it is not under way any more: it is allowed again only if it did not happen.
    """
    query = "SELECT id::text, run_id::text, started_at IS NOT NULL AS begun FROM chat_toolcall WHERE status = 'waiting'"
    while True:
        for call in await asyncio.to_thread(stack.sql, query):
            decision = "deny" if random.random() < 0.1 and not call["begun"] else "once"
            if call["begun"]:
                if call["id"] in notebook.under_way:
                    continue
                decision = "deny" if call["id"] in notebook.happened else "once"
            fields = {"run_id": call["run_id"], "call_id": call["id"], "decision": decision}
            with contextlib.suppress(AssertionError, TimeoutError):  # the connection may be new
                await asyncio.gather(*(person.ask("tool.decide", **fields) for person in people))
        await asyncio.sleep(0.1)


async def kill_while(stack: Stack, notebook: Notebook, what: str) -> Worker:
    """Kills a worker at a moment; the one that has the call, where it is known."""
    if what == "before the effect":
        notebook.before, notebook.after = 1.0, 0.0
        key = await poll(lambda: next(iter(notebook.under_way), None), "a call under way", 60)
    elif what == "after the effect":
        notebook.before, notebook.after = 0.0, 1.0
        key = await poll(
            lambda: next((one for one in list(notebook.under_way) if one in notebook.happened), None), "an effect", 60
        )
    else:  # a decision: the answer is queued, or has just been claimed
        notebook.before = notebook.after = 0.1
        query = "SELECT count(*) AS n FROM chat_tooldecision"
        [before] = await asyncio.to_thread(stack.sql, query)
        await poll(lambda: stack.sql(query)[0]["n"] > before["n"], "a decision", 60)
        key = None
    victim = random.choice(stack.workers)
    if key is not None:
        [run] = await asyncio.to_thread(stack.sql, "SELECT run_id::text AS id FROM chat_toolcall WHERE id = %s", key)
        with contextlib.suppress(StopIteration):  # it has just given the run back
            victim = await asyncio.to_thread(holder, stack, run["id"])
    victim.kill()
    return victim


async def test_r29_what_writes_happens_once_and_after_its_approval(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGKILL before and after effects, and around decisions, while people allow calls. The server counts."""
    stack, upstream = system
    notebook = Notebook()
    with running(notebook.app()) as api:
        await asyncio.to_thread(stack.manage, "shell", stdin=set_up(api.origin))
        async with scene(stack) as here:
            people = [await here.connect(), await here.connect()]
            upstream.script = Script(tokens=10)
            runs: list[dict[str, Any]] = []
            deciding = asyncio.create_task(decide_all(stack, notebook, people))
            moments = ["before the effect", "after the effect", "a decision", "after the effect", "before the effect"]
            for what in moments:
                for number in range(3):
                    runs.append(await here.say(people[0], notes(number)))
                    await people[1].ask("subscribe", conversation_id=runs[-1]["conversation_id"])
                victim = await kill_while(stack, notebook, what)
                await restart(victim)
            notebook.before = notebook.after = 0.0
            for accepted in runs:
                run = await people[1].ended(accepted["run_id"], seconds=90)
                assert run["ended"] == "run.done"
            deciding.cancel()
            await here.judge(40)
            rows = await judge_effects(here, notebook, 2 * len(runs))
            assert sum(row["tries"] for row in rows) > sum(row["status"] == "ok" for row in rows), "calls were lost"


async def judge_effects(here: Scene, notebook: Notebook, calls: int) -> list[dict[str, Any]]:
    """The calls that write notes, so many; each happened at most once and after its approval."""
    rows = await asyncio.to_thread(
        here.stack.sql,
        "SELECT c.id::text, c.status, c.tries, (SELECT count(*) FROM chat_tooldecision d WHERE d.call_id = c.id"
        " AND d.decision <> 'deny') AS allows FROM chat_toolcall c WHERE c.name = 'write_note'",
    )
    assert len(rows) == calls
    found = check_effects(notebook.began, notebook.happened, {row["id"]: row for row in rows})
    assert not found, "\n".join(found)
    return rows

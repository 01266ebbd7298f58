"""A worker is killed at each commit of an answer with tools: it ends whole, each call has one result, and what writes
happens once and after its approval (R29, I13, I14). A first answer tells how many commits there are.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.chaos.commits import CommitProxy
from tests.chaos.driving import restart, scene
from tests.chaos.test_tools import decide_all, judge_effects
from tests.fakes.mcp_server import running
from tests.fakes.notebook import Notebook, set_up
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

LONG = bool(os.environ.get("CHAOS_LONG"))
SOME = 2  # of the commits, where not all are tried
pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(1_800)]

SYSTEM = {"web": 1, "workers": 2, "env": {"RUN_LEASE_SECONDS": "4", "WORKER_DRAIN_SECONDS": "2"}}
ASKING = " ".join(
    [
        f"call=write_note {json.dumps({'body': {'text': 'a'}})}",
        f"call=current_time {json.dumps({'time_zone': 'UTC'})}",
        f"call=write_note {json.dumps({'body': {'text': 'b'}})}",
    ]
)


@pytest.fixture
def proxy(system: tuple[Stack, FakeOpenAI]) -> Generator[CommitProxy]:
    """Both workers reach PostgreSQL through it."""
    stack, _ = system
    folder = Path(tempfile.mkdtemp(prefix="commits-"))
    made = CommitProxy(stack.postgres.sockets, folder)
    made.start()
    before = stack.env["DATABASE_URL"]
    for worker in stack.workers:
        worker.env["DATABASE_URL"] = before.partition("?")[0] + f"?host={quote(str(folder), safe='/')}"
        worker.stop()
        worker.restart()
    yield made
    for worker in stack.workers:
        worker.env["DATABASE_URL"] = before
    made.stop()
    shutil.rmtree(folder)


async def test_r29_a_worker_killed_at_each_commit(system: tuple[Stack, FakeOpenAI], proxy: CommitProxy) -> None:
    stack, upstream = system
    notebook = Notebook()
    with running(notebook.app()) as api:
        await asyncio.to_thread(stack.manage, "shell", stdin=set_up(api.origin))
        async with scene(stack) as here:
            people = [await here.connect(), await here.connect()]
            upstream.script = Script(tokens=5)
            deciding = asyncio.create_task(decide_all(stack, notebook, people))

            async def answer(place: int) -> dict[str, Any]:
                proxy.arm(place)
                accepted = await here.say(people[0], f"[[{ASKING}]]")
                await people[1].ask("subscribe", conversation_id=accepted["conversation_id"])
                return await people[1].ended(accepted["run_id"], seconds=90)

            run = await answer(0)
            assert run["ended"] == "run.done"
            commits = proxy.commits
            assert commits >= 8, "the proxy sees what is committed"
            places = range(1, commits + 1) if LONG else sorted(random.sample(range(1, commits + 1), SOME))
            killed = 0
            for place in places:
                run = await answer(place)
                assert run["ended"] == "run.done", (place, run)
                if proxy.killed:
                    killed += 1
                    await restart(next(one for one in stack.workers if one.pid == proxy.killed))
            assert killed >= len(places) / 2, "answers take about as many commits each time"
            deciding.cancel()
            await here.judge(40)
            await judge_effects(here, notebook, 2 * (len(places) + 1))

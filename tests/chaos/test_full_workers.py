"""Workers that have as many answers as they take."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from config.env import broker_url
from config.stack.valkey import PrivateValkey
from tests.chaos.driving import poll, restart, scene
from tests.chaos.proxy import FaultProxy
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.stack import Worker

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.mark.long
async def test_a_worker_that_takes_no_job_any_more(tmp_path: Path) -> None:
    """Its broker connection is a black hole, all else works: it hands over what it has and ends, to be started anew."""
    server = PrivateValkey(tmp_path / "b")
    proxy = FaultProxy(server, tmp_path / "p.sock")
    server.start()
    proxy.start()
    env = {"REDIS_URL": server.url, "WORKER_STUCK_SECONDS": "5", "WORKER_DRAIN_SECONDS": "1"}
    try:
        with stack_with_model(web=1, workers=0, env=env) as (stack, _):
            worker = Worker(
                "worker",
                ["worker", "--name=w"],
                {**stack.env, "CELERY_BROKER_URL": broker_url(proxy.url)},
                stack.folder,
            )
            stack.workers.append(worker)
            worker.start()
            await asyncio.to_thread(worker.await_ready)
            async with scene(stack) as here:
                client = await here.connect()
                shown = await here.say(client, "Shown [[tokens=2000 rate=40]]")
                await client.shows(shown["run_id"], 20)
                proxy.toxic("timeout")
                waiting = await here.say(client, "Waiting [[tokens=4]]")
                began = time.monotonic()
                assert await asyncio.to_thread(worker.wait, 25) == os.EX_TEMPFAIL
                measured("a worker that takes no job any more, until it ends", round(time.monotonic() - began, 1))
                assert "worker_stuck" in worker.output()
                run = await client.ended(shown["run_id"])
                assert (run["ended"], run["final"]["code"]) == ("run.interrupted", "worker_stopped")
                proxy.heal()
                await restart(worker)
                assert (await client.ended(waiting["run_id"]))["ended"] == "run.done"
                await here.judge()
    finally:
        proxy.stop()
        server.stop()


@pytest.mark.long
async def test_a_full_worker_stops_in_time(tmp_path: Path) -> None:
    """Jobs that wait for a free place do not hold up a shutdown; and what nobody watches ends where that is wanted."""
    env = {"WORKER_STREAMS": "2", "WORKER_DRAIN_SECONDS": "1", "UNWATCHED_GRACE_SECONDS": "2"}
    with stack_with_model(web=1, workers=1, env=env) as (stack, upstream):
        stack.sql("UPDATE accounts_plan SET unwatched_runs = 'stop' RETURNING id")
        async with scene(stack) as here:
            client, leaver = await here.connect(), await here.connect()
            left = await here.say(leaver, "Left alone [[tokens=3000 rate=40]]")
            await leaver.shows(left["run_id"], 20)
            watched = await here.say(client, "Watched [[tokens=3000 rate=40]]")
            await client.shows(watched["run_id"], 20)
            await leaver.close()
            query = "SELECT 1 FROM chat_run WHERE id = %s AND status = 'stopped' AND error_code = 'unwatched'"
            await poll(lambda: stack.sql(query, left["run_id"]), "end of what nobody watches", 10)
            assert await asyncio.to_thread(upstream.chats[0].wait_ended, 2)
            assert not client.views[watched["conversation_id"]].runs[watched["run_id"]]["ended"]
            more = [await here.say(client, f"More {n} [[tokens=3000 rate=40]]") for n in range(6)]  # one fits
            await client.until(lambda: any(client.shown(one["run_id"]) for one in more), "one of them")
            [worker] = stack.workers
            worker.kill(signal.SIGTERM)
            told = time.monotonic()
            assert await asyncio.to_thread(worker.wait, 15) == 0
            measured("a full worker stops", round(time.monotonic() - told, 1))
            await client.ended(watched["run_id"])
            await restart(worker)
            for accepted in more:
                await client.ask("run.stop", run_id=accepted["run_id"])
                await client.ended(accepted["run_id"])
            await here.judge()

"""Model servers that hang, refuse, break off, talk nonsense or are gone (R14-R17)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Generator
from typing import Any

import psycopg
import pytest

from tests.chaos.driving import WAITS_FOR_LOCK, answer, poll, scene
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

SYSTEM = {
    "web": 1,
    "workers": 1,
    "env": {
        "MODEL_CONNECT_TIMEOUT": "1",
        "MODEL_FIRST_CHUNK_TIMEOUT": "1.5",
        "MODEL_IDLE_TIMEOUT": "1",
        "MODEL_RETRY_SECONDS": "4",
    },
}

pytestmark = pytest.mark.asyncio(loop_scope="function")

# script → end, code, tokens kept, requests made
TABLE: dict[str, tuple[str, str, int, int]] = {
    "first_delay=30": ("run.failed", "upstream_timeout", 0, 1),
    "accept_delay=30": ("run.failed", "upstream_timeout", 0, 1),
    "tokens=20 hang=7": ("run.failed", "upstream_timeout", 7, 1),
    "status=429 retry_after=0.2 fails=1 tokens=9": ("run.done", "", 9, 2),
    "status=429": ("run.failed", "upstream_rate_limited", 0, 3),
    "status=429 retry_after=60": ("run.failed", "upstream_rate_limited", 0, 1),
    "status=500 fails=2 tokens=8": ("run.done", "", 8, 3),
    "status=500": ("run.failed", "upstream_error", 0, 3),
    "status=401": ("run.failed", "upstream_unauthorized", 0, 1),
    "disconnect=1 fails=1 tokens=6": ("run.done", "", 6, 2),
    "tokens=20 cut=5": ("run.failed", "upstream_cut", 5, 1),
    "tokens=20 reset=5 rate=50": ("run.failed", "upstream_cut", 5, 1),
    "tokens=20 error=5": ("run.failed", "upstream_error", 5, 1),
    "tokens=20 garbage=5": ("run.failed", "upstream_garbage", 5, 1),
    "body=html": ("run.failed", "upstream_garbage", 0, 1),
    "tokens=12 usage=0": ("run.done", "", 12, 1),
    "tokens=12 done=0": ("run.done", "", 12, 1),
}


@pytest.fixture(scope="module")
def other() -> Generator[FakeOpenAI, None, None]:
    """The endpoint to fall back on, where a test has it up."""
    with FakeOpenAI() as server:
        yield server


def requests(upstream: FakeOpenAI, prompt: str) -> list[Any]:
    return [one for one in upstream.chats if one.body["messages"][-1]["content"] == prompt]


async def test_r14_r15_whatever_the_model_does(system: tuple[Stack, FakeOpenAI]) -> None:
    """Each fault ends in its own way: named, with what came before kept, tried again only while nothing was shown."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()

        async def play(script: str) -> str:
            prompt = f"Fault [[{script}]]"
            accepted = await here.say(client, prompt)
            began = time.monotonic()
            run = await client.ended(accepted["run_id"])
            assert time.monotonic() - began < 10
            end, code, tokens, asked = TABLE[script]
            found = (run["ended"], run["final"].get("code") or "", run["text"], len(requests(upstream, prompt)))
            if found != (end, code, answer(tokens), asked):
                return f"{script}: {found}"
            if end == "run.failed":
                assert run["final"]["retryable"]
                assert run["final"]["message"]
            usage = run["final"]["usage"]
            assert usage["output_tokens"] > 0 or not tokens, script
            await poll(lambda: requests(upstream, prompt)[-1].wait_ended(0), f"end of the request of {script}", 3)
            return ""

        wrong = []
        for script in TABLE:  # one by one: failures in a row would open the breaker, so good ones stand between
            wrong.append(await play(script))
            calm = await here.say(client, "Calm [[tokens=1]]")
            assert (await client.ended(calm["run_id"]))["ended"] == "run.done"
        assert not any(wrong), "\n".join(filter(None, wrong))
        await here.judge()


STOPS: tuple[tuple[str, float], ...] = (
    *(("tokens=500 rate=100", delay / 1000) for delay in range(0, 40, 2)),  # on its way from the queue to the model
    *(("accept_delay=20", 0.3), ("first_delay=20", 0.3), ("tokens=20 hang=7", 0.5)),  # nobody answers
    *(("status=429 retry_after=5", 0.3), ("status=500", 0.05)),  # between two tries
    *(("tokens=500 rate=100 first_delay=0.3", delay / 10) for delay in range(2, 14, 2)),
)


async def test_r17_stopped_at_any_moment(system: tuple[Stack, FakeOpenAI]) -> None:
    """The request is over within a second, the text so far stays, and that is what is billed."""
    stack, upstream = system
    async with scene(stack) as here:
        client, other = await here.connect(), await here.connect()

        async def stop(number: int, script: str, delay: float) -> float:
            prompt = f"Stop {number} [[{script}]]"
            accepted = await here.say(client, prompt)
            await asyncio.sleep(delay)
            asked = time.monotonic()
            first, again = await asyncio.gather(
                client.ask("run.stop", run_id=accepted["run_id"]), other.ask("run.stop", run_id=accepted["run_id"])
            )
            assert first["type"] == again["type"] == "ok", "twice is once, from wherever"
            run = await client.ended(accepted["run_id"])
            assert run["ended"] == "run.stopped", (script, run)
            ends = [asked]
            for request in requests(upstream, prompt):
                assert await asyncio.to_thread(request.wait_ended, 3), script
                ends.append(request.disconnected_at or request.finished_at or asked)
            return max(ends) - asked

        seconds = []
        for place in range(0, len(STOPS), 8):
            some = enumerate(STOPS[place : place + 8], place)
            seconds += await asyncio.gather(*(stop(number, *how) for number, how in some))
        measured("R17 stopped at any moment", round(max(seconds), 2))
        assert max(seconds) < 1, sorted(zip(seconds, STOPS, strict=True), reverse=True)[:5]
        for row in stack.sql("SELECT output_tokens, text FROM chat_run r JOIN chat_message m ON m.id = message_id"
                             " WHERE r.status = 'stopped'"):  # fmt: skip
            most = row["text"].count("tok") * 4 + 4
            assert (row["output_tokens"] or 0) <= most, "what was not said is not billed"
        await here.judge()


async def test_r17_stopped_before_any_worker_has_it(system: tuple[Stack, FakeOpenAI]) -> None:
    """It ends at once, whatever the workers do, and is never asked for."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()
        stack.workers[0].kill(signal.SIGSTOP)
        try:
            accepted = await here.say(client, "Never [[tokens=5]]")
            assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
            assert (await client.ended(accepted["run_id"], seconds=2))["ended"] == "run.stopped"
        finally:
            stack.workers[0].kill(signal.SIGCONT)
        after = await here.say(client, "After [[tokens=2]]")
        assert (await client.ended(after["run_id"]))["ended"] == "run.done"
        assert not requests(upstream, "Never [[tokens=5]]")
        await here.judge()


async def test_r17_stopped_while_a_worker_takes_it(system: tuple[Stack, FakeOpenAI]) -> None:
    """The claim, one transaction with reading the branch, is held up by a lock; the stop is heard all the same."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()
        stack.workers[0].kill(signal.SIGSTOP)
        accepted = await here.say(client, "Barely [[tokens=500 rate=100]]")
        with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
            connection.execute("LOCK TABLE chat_summary IN ACCESS EXCLUSIVE MODE")
            stack.workers[0].kill(signal.SIGCONT)
            await poll(lambda: stack.sql(WAITS_FOR_LOCK), "claim")
            assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
        assert (await client.ended(accepted["run_id"]))["ended"] == "run.stopped"
        assert not requests(upstream, "Barely [[tokens=500 rate=100]]"), "it is not even asked for"
        await here.judge()


async def test_r16_an_endpoint_that_is_gone(system: tuple[Stack, FakeOpenAI]) -> None:
    """After five failures answers fail at once; when it is back, the next one finds out; the rest works all along."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()
        port = upstream.port
        await asyncio.to_thread(upstream.__exit__)
        for number in range(5):
            accepted = await here.say(client, f"Down {number} [[tokens=2]]")
            run = await client.ended(accepted["run_id"])
            assert run["final"]["code"] == "upstream_unreachable"
        accepted = await here.say(client, "Fast [[tokens=2]]")
        began = time.monotonic()
        run = await client.ended(accepted["run_id"])
        measured("R16 failing fast", round(time.monotonic() - began, 2))
        assert run["final"]["code"] == "upstream_unavailable"
        [row] = stack.sql("SELECT total_ms - queued_ms AS ms FROM chat_run WHERE id = %s", accepted["run_id"])
        assert row["ms"] < 200
        upstream.port = port
        await asyncio.to_thread(upstream.__enter__)
        back = time.monotonic()
        while run["ended"] != "run.done":
            assert time.monotonic() - back < 9  # 15 at the default of MODEL_RETRY_SECONDS
            accepted = await here.say(client, "Back? [[tokens=2]]")
            run = await client.ended(accepted["run_id"])
            await asyncio.sleep(0.3)
        measured("R16 an endpoint that is gone", round(time.monotonic() - back, 1))
        await here.judge()


@pytest.mark.long
async def test_r16_the_next_endpoint_answers(other: FakeOpenAI) -> None:
    """With a second endpoint nobody notices that the first is gone."""
    env = {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_FALLBACK_BASE_URL": other.url.replace("127.0.0.1", "localhost"),
        "OPENAI_FALLBACK_MODEL": "spare",
        "MODEL_CONNECT_TIMEOUT": "1",
    }
    with stack_with_model(web=1, workers=1, env=env) as (stack, _):
        async with scene(stack) as here:
            client = await here.connect()
            accepted = await here.say(client, "Anybody? [[tokens=5]]")
            run = await client.ended(accepted["run_id"])
            assert (run["ended"], run["text"]) == ("run.done", answer(5))
            assert other.chats[-1].body["model"] == "spare"
            [entry] = stack.sql("SELECT endpoint FROM accounts_usageentry")
            assert entry["endpoint"] == "localhost"
            await here.judge()

"""Model servers that hang, refuse, break off, talk nonsense or are gone (R14-R17)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Generator
from typing import Any

import pytest

from tests.chaos.driving import answer, measured, poll, scene, stack_with_model
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

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


@pytest.fixture(scope="module")
def system() -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    env = {
        "MODEL_CONNECT_TIMEOUT": "1",
        "MODEL_FIRST_CHUNK_TIMEOUT": "1.5",
        "MODEL_IDLE_TIMEOUT": "1",
        "MODEL_RETRY_SECONDS": "4",
    }
    with stack_with_model(web=1, workers=1, env=env) as running:
        yield running


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


async def test_r17_stopped_at_any_moment(system: tuple[Stack, FakeOpenAI]) -> None:
    """The request is over within a second, the text so far stays, and that is what is billed."""
    stack, upstream = system
    async with scene(stack) as here:
        client = await here.connect()

        async def stop(number: int, delay: float) -> float:
            prompt = f"Stop {number} [[tokens=500 rate=100 first_delay=0.3]]"
            accepted = await here.say(client, prompt)
            await asyncio.sleep(delay)
            assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
            asked = time.monotonic()
            again = await client.ask("run.stop", run_id=accepted["run_id"])
            assert again["type"] == "ok", "twice is once"
            run = await client.ended(accepted["run_id"])
            assert run["ended"] == "run.stopped"
            for request in requests(upstream, prompt):
                assert await asyncio.to_thread(request.wait_ended, 1.5)
            [row] = stack.sql("SELECT output_tokens FROM chat_run WHERE id = %s", accepted["run_id"])
            said = run["text"].count("tok")
            if row["output_tokens"] is not None:
                assert row["output_tokens"] <= said * 4 + 4, "what was not said is not billed"
            return time.monotonic() - asked

        delays = [0.0, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.35, *(random.uniform(0.3, 1.5) for _ in range(6))]
        seconds = await asyncio.gather(*(stop(number, delay) for number, delay in enumerate(delays)))
        measured("R17 stopped at any moment", round(max(seconds), 2))
        assert max(seconds) < 2
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

"""How an answer ended, from the model's finish reason to the run, the event, the snapshot and the page."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.client import session
from tests.fakes.openai_oddities import STREAMS
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack
from workers.generation.outcome import finish_of

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.mark.parametrize(
    ("reason", "finish"), [("stop", "stop"), ("length", "length"), ("content_filter", "filtered"), ("eos", "stop")]
)
async def test_it_is_in_the_run_the_event_and_the_snapshot(stack: Stack, reason: str, finish: str) -> None:
    assert finish_of(reason) == finish
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say(f"Hello [[tokens=3 finish={reason}]]")
        run = await client.ended(accepted["run_id"])
        assert (run["final"]["type"], run["final"]["finish"]) == ("run.done", finish)
        assert run["text"] == "tok0 tok1 tok2 "
        [row] = stack.sql("SELECT finish, status FROM chat_run WHERE id = %s", accepted["run_id"])
        assert (row["finish"], row["status"]) == (finish, "done")


@pytest.mark.parametrize("name", ["negative usage", "huge usage"])
async def test_implausible_usage_is_marked_and_the_run_is_done(stack: Stack, upstream: FakeOpenAI, name: str) -> None:
    upstream.play(Script(body="raw", text=STREAMS[name].body.decode()))
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("Hello")
        run = await client.ended(accepted["run_id"])
        assert (run["final"]["type"], run["text"]) == ("run.done", "Hello world")
        [row] = stack.sql(
            "SELECT usage_implausible, usage_estimated, output_tokens FROM chat_run WHERE id = %s", accepted["run_id"]
        )
        assert (row["usage_implausible"], row["usage_estimated"]) == (True, True)
        assert 0 < row["output_tokens"] < 100


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("tokens=0 finish=tool_calls", "tried to call a tool"),
        ("tokens=0 reasoning=3 finish=tool_calls", "tried to call a tool"),
        ("tokens=0", "empty answer"),
    ],
)
async def test_no_answer_is_said_as_that_and_can_be_retried(stack: Stack, script: str, words: str) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say(f"Hello [[{script}]]")
        final = (await client.ended(accepted["run_id"]))["final"]
        assert (final["type"], final["retryable"]) == ("run.failed", True)
        assert words in final["message"]
        [row] = stack.sql("SELECT finish, output_tokens FROM chat_run WHERE id = %s", accepted["run_id"])
        assert row["finish"] == ""
        if "reasoning" in script:
            assert row["output_tokens"] == 3, "thinking is billed"


async def test_a_routers_cost_and_model_are_kept(stack: Stack, upstream: FakeOpenAI) -> None:
    events = (
        {"model": "vendor/model-7", "choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 4000, "completion_tokens": 4, "cost": 0.0125}},
    )
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    upstream.play(Script(body="raw", text=body))
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("Hello")
        await client.ended(accepted["run_id"])
        [row] = stack.sql("SELECT upstream_model, cost FROM chat_run WHERE id = %s", accepted["run_id"])
        assert (row["upstream_model"], row["cost"]) == ("vendor/model-7", Decimal("0.0125"))
        [entry] = stack.sql("SELECT cost FROM accounts_usageentry WHERE run_id = %s", accepted["run_id"])
        assert entry["cost"] == Decimal("0.0125")


@pytest.mark.parametrize(
    ("finish", "words"), [("length", "length limit while it was thinking"), ("stop", "thinking but gave no answer")]
)
async def test_an_answer_of_nothing_but_thinking_is_done_and_can_be_retried(
    stack: Stack, finish: str, words: str
) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say(f"Hello [[tokens=0 reasoning=3 finish={finish}]]")
        run = await client.ended(accepted["run_id"])
        final = run["final"]
        assert (final["type"], final["finish"], final["retryable"], final["code"]) == (
            "run.done", finish, True, "no_answer",
        )  # fmt: skip
        assert words in final["message"]
        assert (run["text"], run["reasoning"]) == ("", "think0 think1 think2 ")
        [row] = stack.sql(
            "SELECT finish, output_tokens, reasoning_tokens, reasoning_chars FROM chat_run WHERE id = %s",
            accepted["run_id"],
        )
        assert (row["finish"], row["output_tokens"], row["reasoning_tokens"], row["reasoning_chars"]) == (
            finish, 3, 3, 21,
        )  # fmt: skip
        async with alice.http.get(f"{stack.url}/c/{accepted['conversation_id']}/") as page:
            html = await page.text()
        assert words in html
        assert "think0 think1 think2" in html


async def test_what_the_provider_said_is_kept_for_staff(stack: Stack) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("Hello [[status=400]]")
        final = (await client.ended(accepted["run_id"]))["final"]
        assert "The fake model says no" not in str(final)
        [row] = stack.sql("SELECT upstream_said, trace_id FROM chat_run WHERE id = %s", accepted["run_id"])
        assert "The fake model says no." in row["upstream_said"]
        assert len(final["trace"]) == 32
        assert final["trace"] == row["trace_id"], "what people can tell an administrator"
        async with alice.http.get(f"{stack.url}/c/{accepted['conversation_id']}/") as page:
            assert f"error {final['trace']}" in await page.text()


async def test_a_server_that_loads_the_model_is_waited_for_and_that_is_said(stack: Stack, upstream: FakeOpenAI) -> None:
    upstream.play(Script(status=503, said="Loading model"), times=3)
    upstream.play(Script(tokens=3))
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("Hello")
        run = await client.ended(accepted["run_id"])
        assert (run["ended"], run["text"]) == ("run.done", "tok0 tok1 tok2 ")
        waiting = [frame for frame in client.frames if frame["type"] == "run.waiting"]
        assert [frame["for"] for frame in waiting] == ["loading", "model"], "not once a second"
        assert {(frame["run_id"], frame["attempt"]) for frame in waiting} == {(accepted["run_id"], 1)}

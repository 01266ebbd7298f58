"""The way of a conversation's parameters: from a page to the model, what it refuses, and who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client import Client, session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]


def parameters_of(stack: Stack, run_id: str) -> dict[str, Any]:
    [row] = stack.sql("SELECT parameters FROM chat_run WHERE id = %s", run_id)
    found: dict[str, Any] = row["parameters"]
    return found


async def test_what_cannot_be_is_answered_with_a_sentence(stack: Stack) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        for options, words in (
            ({"temperature": 2.5}, "The temperature must be a number from 0 to 2."),
            ({"max_tokens": 0}, "The longest answer must be a whole number of tokens from 1 to 1,000,000."),
            ({"system_prompt": "x" * 20_001}, "The system prompt can have at most 20,000 characters"),
        ):
            reply = await client.say("Hello", options=options)
            assert reply["type"] == "error"
            assert reply["message"].startswith(words)
        whole = {"temperature": 2, "max_tokens": 1_000_000, "system_prompt": "é" * 20_000}
        reply = await client.say("y" * 48_000 + " [[tokens=1]]", options=whole)
        assert reply["type"] == "message.accepted", "a long prompt and a long text fit into one frame"
        assert (await client.ended(reply["run_id"]))["ended"] == "run.done"


async def test_every_tab_is_told_and_the_next_answer_has_them(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client, other = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        first = await client.say("Hello [[tokens=1]]", options={"temperature": 0.25, "system_prompt": "A secret."})
        await client.ended(first["run_id"])
        conversation = first["conversation_id"]
        await other.ask("subscribe", conversation_id=conversation)
        changed = await alice.post(f"/c/{conversation}/parameters/", {"temperature": "", "max_tokens": "77"})
        assert changed.status == 200
        shown = {"temperature": None, "max_tokens": 77, "effort": None, "has_system_prompt": True}
        for one in (client, other):
            event = await one.next("conversation.updated", conversation_id=conversation)
            assert event["parameters"] == shown
            assert "A secret." not in str(event)
        second = await client.say("Again [[tokens=1]]", conversation)
        ended = await client.ended(second["run_id"])
        assert ended["final"]["parameters"] == {"max_tokens": 77}
        body = upstream.chats[-1].body
        assert (body.get("temperature"), body["max_tokens"]) == (None, 77)
        assert body["messages"][0]["content"] == "A secret."


async def forget_refusals(stack: Stack, upstream: FakeOpenAI, client: Client) -> None:
    """The workers know of nothing that "large" refuses: other tests have the same stack."""
    async with asyncio.timeout(120):
        while True:
            sent = await client.say("Again? [[tokens=1]]", model="large", options={"temperature": 0.5})
            await client.ended(sent["run_id"])
            if "temperature" in upstream.chats[-1].body:
                return
            # They read the table every 10 s; a new process reads it at once, and stores nothing that it has not learnt.
            await asyncio.to_thread(stack.workers[0].stop)
            stack.sql("UPDATE workers_modelfact SET refused = '{}'")
            await asyncio.to_thread(stack.workers[0].restart)


async def test_a_refused_parameter_costs_no_answer_and_is_said(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        await forget_refusals(stack, upstream, client)
        upstream.play(Script(status=400, said="Unsupported parameter: 'temperature' is not supported with this model."))
        options = {"temperature": 0.5, "max_tokens": 9}
        first = await client.say("Hello [[tokens=1]]", model="large", options=options)
        ended = await client.ended(first["run_id"])
        assert (ended["ended"], ended["text"]) == ("run.done", "tok0 ")
        assert ended["final"]["parameters"] == {"max_tokens": 9, "dropped": ["temperature"]}
        kept = parameters_of(stack, first["run_id"])
        assert (kept["sent"], kept["dropped"]) == ({"max_tokens": 9}, ["temperature"])
        asked = len(upstream.chats)
        second = await client.say("Again [[tokens=1]]", first["conversation_id"])
        assert (await client.ended(second["run_id"]))["final"]["parameters"]["dropped"] == ["temperature"]
        assert len(upstream.chats) == asked + 1, "it is known by now"
        assert "temperature" not in upstream.chats[-1].body
        await forget_refusals(stack, upstream, client)


async def test_own_instructions_reach_the_model(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        fields = {"text": "I breed axolotls.", "enabled": "on"}
        assert (await alice.post("/accounts/instructions/", fields)).status == 302
        try:
            client = await alice.connect()
            first = await client.say("Hello [[tokens=1]]")
            await client.ended(first["run_id"])
            assert "I breed axolotls.\n</user_instructions>" in upstream.chats[-1].body["messages"][0]["content"]
            assert parameters_of(stack, first["run_id"])["instructions_chars"] == len("I breed axolotls.")
            other = await client.say("Hello [[tokens=1]]", temporary=True)
            await client.ended(other["run_id"])
            assert "axolotls" not in str(upstream.chats[-1].body)
        finally:
            await alice.post("/accounts/instructions/", {"text": ""})

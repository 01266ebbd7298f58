"""What a model thinks: its way from the endpoint to readers and PostgreSQL, and the places that never have it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.client import Client, session
from tests.client_view import View
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.history import History, fresh_snapshots
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]


def thoughts(count: int) -> str:
    return "".join(f"think{number} " for number in range(count))


def run_of(stack: Stack, run_id: str) -> dict[str, Any]:
    [row] = stack.sql(
        "SELECT r.*, m.text AS answer, t.text AS reasoning FROM chat_run r JOIN chat_message m ON m.id = r.message_id "
        "LEFT JOIN chat_reasoning t ON t.run_id = r.id WHERE r.id = %s",
        run_id,
    )
    return row


def thought(client: Client, run_id: str) -> str:
    found = (view.runs[run_id] for view in client.views.values() if run_id in view.runs)
    return str(next((run["reasoning"] for run in found), ""))


async def begun(client: Client, run_id: str) -> None:
    await client.until(lambda: thought(client, run_id), "the beginning of thinking")


async def test_readers_see_it_whole_and_once_wherever_they_come_in(stack: Stack, upstream: FakeOpenAI) -> None:
    """One reads along, one comes in the middle of it, one leaves then and resumes; PostgreSQL has the same."""
    history = History()
    async with session(stack.url, "alice@example.org") as alice:
        upstream.play(Script(reasoning=40, tokens=30, rate=25))
        first = history.watch(await alice.connect())
        accepted = await first.say("Think of it")
        run_id, conversation = accepted["run_id"], accepted["conversation_id"]
        await begun(first, run_id)
        views: dict[str, View] = {}
        second = history.watch(await alice.connect(at=stack.webs[1].url, views=views))
        reply = await second.ask("subscribe", conversation_id=conversation)
        shown = reply["snapshot"]["runs"][0]["reasoning"]
        assert thoughts(40).startswith(shown["text"])
        assert shown["length"] == len(shown["text"]) > 0
        assert not reply["snapshot"]["messages"][-1]["text"], "it comes in while the model thinks"
        await second.drop()
        again = history.watch(await alice.connect(views=views))
        position = {"epoch": views[conversation].epoch, "seq": views[conversation].seq}
        assert (await again.ask("subscribe", conversation_id=conversation, position=position))["recovered"]
        for client in (first, again):
            run = await client.ended(run_id)
            assert run["reasoning"] == thoughts(40)
            assert run["text"] == "".join(f"tok{number} " for number in range(30))
            assert run["final"]["reasoning"]["tokens"] == 40
            assert run["final"]["reasoning"]["ms"] > 0
            timing = run["final"]["timing"]
            assert timing["first_reasoning_ms"] < timing["first_token_ms"] <= timing["total_ms"]
        await history.settle(stack)
        fresh = await alice.connect()
        history.check(stack, await fresh_snapshots(fresh, [conversation]))
        row = run_of(stack, run_id)
        assert (row["reasoning"], row["reasoning_chars"]) == (thoughts(40), len(thoughts(40)))
        assert (row["reasoning_tokens"], row["output_tokens"]) == (40, 70)
        [bill] = stack.sql("SELECT reasoning_tokens, output_tokens FROM accounts_usageentry WHERE run_id = %s", run_id)
        assert (bill["reasoning_tokens"], bill["output_tokens"]) == (40, 70)


async def test_a_stop_while_it_thinks_keeps_what_there_is(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        upstream.play(Script(reasoning=20, tokens=5, hang=7))
        client = await alice.connect()
        accepted = await client.say("Think of it")
        await client.until(lambda: thought(client, accepted["run_id"]) == thoughts(7), "all that the model sends")
        await client.ask("run.stop", run_id=accepted["run_id"])
        run = await client.ended(accepted["run_id"])
        assert (run["ended"], run["text"], run["reasoning"]) == ("run.stopped", "", thoughts(7))
        row = run_of(stack, accepted["run_id"])
        assert (row["status"], row["reasoning"], row["answer"]) == ("stopped", thoughts(7), "")
        assert row["reasoning_tokens"] == row["output_tokens"] > 0, "counted, as the endpoint said nothing"


async def test_a_checkpoint_has_it_and_a_lost_worker_loses_none(stack: Stack, upstream: FakeOpenAI) -> None:
    """The worker dies in the middle of the answer: the run ends with all of the thinking that was shown."""
    history = History()
    async with session(stack.url, "alice@example.org") as alice:
        upstream.play(Script(reasoning=6, tokens=20, hang=9))
        client = history.watch(await alice.connect())
        accepted = await client.say("Think of it")
        await client.shows(accepted["run_id"], len("tok0 tok1 tok2 "))
        async with asyncio.timeout(20):
            while (row := run_of(stack, accepted["run_id"]))["reasoning"] != thoughts(6):
                await asyncio.sleep(0.1)
        assert row["status"] == "running"
        stack.workers[0].kill()
        run = await client.ended(accepted["run_id"], seconds=60)
        await asyncio.to_thread(stack.workers[0].restart)
        assert (run["ended"], run["reasoning"]) == ("run.interrupted", thoughts(6))
        await history.settle(stack)
        history.check(stack)


async def test_thinking_of_a_lost_attempt_is_replaced(stack: Stack, upstream: FakeOpenAI) -> None:
    """No text was shown, so another worker begins again, and its thinking replaces what there was."""
    history = History()
    async with session(stack.url, "alice@example.org") as alice:
        upstream.play(Script(reasoning=9, tokens=3, hang=5))
        client = history.watch(await alice.connect())
        accepted = await client.say("Think of it [[reasoning=2 tokens=3]]")
        await client.until(lambda: thought(client, accepted["run_id"]) == thoughts(5), "the first attempt's thinking")
        async with asyncio.timeout(20):
            while not run_of(stack, accepted["run_id"])["reasoning"]:
                await asyncio.sleep(0.1)
        stack.workers[0].kill()
        await asyncio.to_thread(stack.workers[0].restart)
        run = await client.ended(accepted["run_id"], seconds=60)
        assert (run["ended"], run["attempt"], run["reasoning"]) == ("run.done", 2, thoughts(2))
        await history.settle(stack)
        fresh = await alice.connect()
        history.check(stack, await fresh_snapshots(fresh, [accepted["conversation_id"]]))
        assert run_of(stack, accepted["run_id"])["reasoning"] == thoughts(2)


async def test_the_places_that_never_have_it(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        upstream.play(Script(text="<think>tagged secret</think>\n\nThe answer.", reasoning=3))
        accepted = await client.say("First question")
        conversation = accepted["conversation_id"]
        run = await client.ended(accepted["run_id"])
        assert (run["text"], run["reasoning"]) == ("The answer.", thoughts(3) + "tagged secret")
        assert "secret" not in run["final"]["html"]
        after = await client.say("Second question", conversation, options={"effort": "high"})
        await client.ended(after["run_id"])
        sent = upstream.chats[-1].body
        assert [turn["content"] for turn in sent["messages"]][1:] == [
            "First question", "The answer.", "Second question",
        ]  # fmt: skip
        assert sent["reasoning_effort"] == "high"
        assert "reasoning_effort" not in upstream.chats[0].body
        [title] = stack.sql("SELECT title FROM chat_conversation WHERE id = %s", conversation)
        assert title["title"] == "First question"
        stored = stack.sql("SELECT text, html FROM chat_message WHERE conversation_id = %s", conversation)
        listed = [frame for frame in client.frames if frame["type"] == "conversation.listed"]
        assert listed
        pages = [json.dumps([stored, listed], default=str)]
        for path in (
            f"c/{conversation}/export/?as=json",
            f"c/{conversation}/export/?as=markdown",
            "conversations/export/",
        ):
            async with alice.http.get(f"{stack.url}/{path}") as answer:
                assert answer.status == 200, path
                pages.append(await answer.text())
        for page in pages:
            assert "The answer." in page or "First question" in page
            assert "secret" not in page
            assert "think0" not in page
        for path in (f"c/{conversation}/export/?as=json&reasoning=1", "conversations/export/?reasoning=1"):
            async with alice.http.get(f"{stack.url}/{path}") as answer:
                exported = json.loads(await answer.text())["conversations"]
                [one] = [found for found in exported if found["id"] == conversation]
                assert one["messages"][1]["reasoning"] == thoughts(3) + "tagged secret"
                assert one["messages"][0]["reasoning"] is None
        async with alice.http.get(f"{stack.url}/c/{conversation}/") as answer:
            assert "tagged secret" in await answer.text(), "the history shows it, folded"


async def test_an_unknown_effort_is_refused(stack: Stack) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        for options in ({"effort": "extreme"}, {"effort": 3}, {"efforts": "low"}, "low"):
            reply = await client.say("Hello", options=options)
            assert (reply["type"], reply["code"]) == ("error", "invalid")
        assert (await client.say("Hello [[tokens=1]]", options={"effort": None}))["type"] == "message.accepted"

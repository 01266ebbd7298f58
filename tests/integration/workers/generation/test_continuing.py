"""A cut answer is continued through real processes: sockets, a worker that is killed, and a scripted model."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.client import Client, session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack
from workers.providers.http.continuing import INSTRUCTION

pytestmark = pytest.mark.asyncio(loop_scope="function")

FIRST = "The quick brown fox jumps over the lazy"


async def cut_answer(client: Client, upstream: FakeOpenAI) -> tuple[str, str]:
    """(conversation, answer) of an answer that reached its length limit."""
    upstream.play(Script(text=FIRST, finish="length"))
    accepted = await client.say("Tell me of the fox")
    run = await client.ended(accepted["run_id"])
    assert (run["final"]["finish"], run["final"]["continuable"]) == ("length", True)
    return accepted["conversation_id"], run["message_id"]


async def test_it_goes_on_in_the_same_message_word_by_word(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        conversation, message = await cut_answer(client, upstream)
        upstream.play(Script(text="the lazy dog.", rate=50))
        client_id = str(uuid.uuid4())
        accepted = await client.ask("message.continue", message_id=message, client_id=client_id)
        again = await client.ask("message.continue", message_id=message, client_id=client_id)
        assert (accepted["message_id"], again["run_id"], again["duplicate"]) == (message, accepted["run_id"], True)
        run = await client.ended(accepted["run_id"])
        assert run["text"] == f"{FIRST} dog."
        final = run["final"]
        assert (final["text_length"], final["continuable"], final["message_usage"]["runs"]) == (
            len(run["text"]),
            False,
            2,
        )
        assert set(final["context"]) == {"used", "window", "dropped"}
        [row] = stack.sql("SELECT text, status FROM chat_message WHERE id = %s", message)
        assert (row["text"], row["status"]) == (run["text"], "complete")
        asked = [turn["content"] for turn in upstream.chats[-1].body["messages"]]
        assert asked[-3:] == ["Tell me of the fox", FIRST, INSTRUCTION]
        assert not stack.sql("SELECT 1 FROM chat_message WHERE text = %s", INSTRUCTION)
        late = await alice.connect()
        reply = await late.ask("subscribe", conversation_id=conversation)
        assert [one["text"] for one in reply["snapshot"]["messages"]] == ["Tell me of the fox", run["text"]]
        refused = await client.ask("message.continue", message_id=message, client_id=str(uuid.uuid4()))
        assert (refused["type"], refused["code"]) == ("error", "invalid")


async def test_a_worker_killed_in_it_doubles_and_loses_nothing(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client, watcher = await alice.connect(), await alice.connect()
        conversation, message = await cut_answer(client, upstream)
        await watcher.ask("subscribe", conversation_id=conversation)
        upstream.play(Script(tokens=2000, rate=40))
        accepted = await client.ask("message.continue", message_id=message, client_id=str(uuid.uuid4()))
        await client.shows(accepted["run_id"], len(FIRST) + 40)
        [victim] = stack.workers
        victim.kill()
        try:
            run = await client.ended(accepted["run_id"], seconds=90)
        finally:
            await asyncio.to_thread(victim.restart)
        assert (run["ended"], run["final"]["continuable"]) == ("run.interrupted", True)
        written = run["text"].removeprefix(f"{FIRST} ").split()
        assert written == [f"tok{number}" for number in range(len(written))]
        [row] = stack.sql("SELECT text FROM chat_message WHERE id = %s", message)
        assert row["text"] == run["text"] == watcher.shown(accepted["run_id"])
        upstream.play(Script(text="and that is all."))
        accepted = await client.ask("message.continue", message_id=message, client_id=str(uuid.uuid4()))
        ended = await client.ended(accepted["run_id"], seconds=60)
        assert ended["text"] == f"{run['text'].rstrip()} and that is all."

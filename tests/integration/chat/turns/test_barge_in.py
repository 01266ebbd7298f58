"""Talking over an answer: it stops, and only what was heard stays. Real Daphne, Celery, Redis."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from tests.client import Client, Session, session
from tests.fakes.openai_server import FakeOpenAI
from tests.history import History, fresh_snapshots
from tests.stack import Stack

SLOW = "Tell me [[tokens=400 rate=50]]"  # tok0 tok1 tok2 …


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str = "alice") -> AsyncGenerator[Session]:
    async with session(stack.url, f"{name}@example.org") as logged_in:
        yield logged_in


def stored(stack: Stack, run_id: str) -> dict[str, Any]:
    [row] = stack.sql(
        "SELECT m.text, m.html, m.status AS shown, r.status, r.heard_chars, r.produced_chars, r.output_tokens "
        "FROM chat_run r JOIN chat_message m ON m.id = r.message_id WHERE r.id = %s",
        uuid.UUID(run_id),
    )
    return row


async def interrupt(client: Client, run_id: str, heard: int) -> dict[str, Any]:
    return await client.ask("audio.interrupt", run_id=run_id, heard_chars=heard)


async def test_a_running_answer_stops_and_keeps_what_was_heard(stack: Stack, upstream: FakeOpenAI) -> None:
    async with user(stack) as alice:
        history = History()
        views: dict[str, Any] = {}
        client = history.watch(await alice.connect(views=views))
        elsewhere = history.watch(await alice.connect(at=stack.webs[1].url))
        accepted = await client.say(SLOW)
        run_id, conversation = accepted["run_id"], accepted["conversation_id"]
        await elsewhere.ask("subscribe", conversation_id=conversation)
        await client.shows(run_id, 60)
        reply = await interrupt(elsewhere, run_id, 12)  # "tok0 tok1 to": in the third word
        assert reply["type"] == "ok"
        for one in (client, elsewhere):
            stopped = await one.next("run.stopped", run_id=run_id)
            assert (stopped["code"], stopped["text_length"] >= 60) == ("talked_over", True)
            updated = await one.next("message.updated")
            assert updated["seq"] == stopped["seq"] + 1
            assert (updated["message"]["text"], updated["message"]["status"]) == ("tok0 tok1", "stopped")
            assert updated["message"]["html"] == '<p dir="auto">tok0 tok1</p>\n'
            assert updated["message"]["run"]["heard_chars"] == 9
        row = stored(stack, run_id)
        assert (row["text"], row["status"], row["heard_chars"]) == ("tok0 tok1", "stopped", 9)
        assert row["produced_chars"] == stopped["text_length"]
        [bill] = stack.sql("SELECT output_tokens FROM accounts_usageentry WHERE run_id = %s", uuid.UUID(run_id))
        assert bill["output_tokens"] == row["output_tokens"] >= 12, "what was written is billed, heard or not"

        for heard in (3, 50):  # once more changes nothing
            assert (await interrupt(client, run_id, heard))["type"] == "ok"
        assert stored(stack, run_id) == row
        again = await client.say("And then? [[tokens=2]]", conversation)
        await client.ended(again["run_id"])
        assert [turn["content"] for turn in upstream.requests[-1].body["messages"]][-2:] == [
            "tok0 tok1", "And then? [[tokens=2]]",
        ]  # fmt: skip
        await history.settle(stack)
        fresh = await alice.connect()
        history.check(stack, await fresh_snapshots(fresh, [conversation]))
        assert [f for f in client.frames if f["type"] == "message.updated"] == [
            f for f in elsewhere.frames if f["type"] == "message.updated"
        ]
        for one in (client, elsewhere, fresh):
            await one.close()


async def test_a_finished_answer_is_cut_and_its_run_stays_done(stack: Stack) -> None:
    async with user(stack) as alice:
        history = History()
        client = history.watch(await alice.connect(views={}))
        accepted = await client.say('Say it [[text="**One two** three four five."]]')
        run_id, conversation = accepted["run_id"], accepted["conversation_id"]
        await client.ended(run_id)
        assert (await interrupt(client, run_id, 14))["type"] == "ok"
        updated = await client.next("message.updated")
        assert updated["message"]["text"] == "**One two**"
        assert updated["message"]["html"] is None, "nothing is rendered in the web process"
        assert updated["message"]["status"] == "stopped"
        assert updated["message"]["run"]["status"] == "done"
        row = stored(stack, run_id)
        assert (row["shown"], row["status"], row["heard_chars"], row["produced_chars"]) == ("stopped", "done", 11, 28)
        rendered = await client.next("message.updated")
        assert rendered["message"] == updated["message"] | {"html": '<p dir="auto"><strong>One two</strong></p>\n'}
        assert stored(stack, run_id)["html"] == rendered["message"]["html"]
        await history.settle(stack)
        [rows] = [await fresh_snapshots(await alice.connect(), [conversation])]
        history.check(stack, rows)
        assert sum(f["type"] in ("run.done", "run.stopped") for f in client.frames) == 1
        await client.close()


async def test_what_was_heard_to_its_end_stays_whole(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say('Say it [[text="One two."]]')
        await client.ended(accepted["run_id"])
        assert (await interrupt(client, accepted["run_id"], 8))["type"] == "ok"
        row = stored(stack, accepted["run_id"])
        assert (row["text"], row["shown"], row["heard_chars"]) == ("One two.", "complete", None)
        assert (await interrupt(client, accepted["run_id"], 0))["type"] == "ok"
        assert stored(stack, accepted["run_id"])["text"] == "", "nothing was heard of it"
        await client.next("message.updated")
        await client.close()


async def test_not_by_those_who_may_not_write(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob, user(stack, "mallory") as mallory:
        client, viewer, outsider = await alice.connect(), await bob.connect(), await mallory.connect()
        accepted = await client.say('Say it [[text="One two three."]]')
        await client.ended(accepted["run_id"])
        stack.sql(
            "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) "
            "SELECT %s, id, 'viewer', now() FROM accounts_user WHERE email = 'bob@example.org'",
            uuid.UUID(accepted["conversation_id"]),
        )
        assert (await interrupt(outsider, accepted["run_id"], 3))["code"] == "not_found"
        assert (await interrupt(viewer, accepted["run_id"], 3))["code"] == "forbidden"
        assert (await interrupt(client, str(uuid.uuid4()), 3))["code"] == "not_found"
        for bad in (-1, 10**9, "3"):
            assert (await client.ask("audio.interrupt", run_id=accepted["run_id"], heard_chars=bad))[
                "code"
            ] == "invalid"
        assert stored(stack, accepted["run_id"])["text"] == "One two three."
        for one in (client, viewer, outsider):
            await one.close()

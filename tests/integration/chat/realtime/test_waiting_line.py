"""Waiting lines over real sockets, on several devices and for several members."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.client import Client, session
from tests.history import History, fresh_snapshots
from tests.stack import Stack

LONG = "[[tokens=400 rate=80]]"

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def queue(client: Client, text: str, conversation: str, **fields: Any) -> dict[str, Any]:
    reply = await client.say(text, conversation, **{"when_busy": "queue", **fields})
    assert reply["type"] == "message.accepted", reply
    return reply


def asked(stack: Stack, conversation: str) -> list[str]:
    query = "SELECT text FROM chat_message WHERE conversation_id = %s AND role = 'user' ORDER BY created_at"
    return [row["text"] for row in stack.sql(query, conversation)]


async def test_a_line_on_two_devices(stack: Stack) -> None:
    """Queued on one, changed on the other, read by a third that comes later; then the answer is stopped for one."""
    history = History()
    async with session(stack.url) as alice:
        first, second = [history.watch(await alice.connect(views={})) for _ in range(2)]
        assert "queue" in first.frames[0]["features"]
        accepted = await first.say(f"Write {LONG}")
        one = accepted["conversation_id"]
        await second.ask("subscribe", conversation_id=one)
        waiting = [await queue(first, text, one) for text in ("one", "two", "three", "four")]
        assert [(reply["queued"], reply["run_id"], reply["duplicate"]) for reply in waiting] == [
            (True, None, False)
        ] * 4
        ids = [reply["message_id"] for reply in waiting]
        for command, fields in (
            ("queue.edit", {"message_id": ids[1], "text": "second"}),
            ("queue.remove", {"message_id": ids[2]}),
            ("queue.move", {"message_id": ids[3], "before": ids[1]}),
        ):
            assert (await second.ask(command, **fields))["type"] == "ok"

        def shown(client: Client) -> list[str]:
            return [row["text"] for row in sorted(client.views[one].queued.values(), key=lambda row: row["position"])]

        for client in (first, second):
            await client.until(lambda client=client: shown(client) == ["one", "four", "second"], "the same line")  # type: ignore[misc]
        third = history.watch(await alice.connect(views={}))
        await third.ask("subscribe", conversation_id=one)
        assert shown(third) == ["one", "four", "second"]
        assert (await second.ask("queue.send_now", message_id=ids[1]))["type"] == "ok"
        await first.until(lambda: not first.views[one].queued, "an empty line", 30)
        await history.settle(stack)
        assert asked(stack, one)[1:] == ["second", "one", "four"]
        [row] = stack.sql("SELECT status FROM chat_run WHERE id = %s", accepted["run_id"])
        assert row["status"] == "stopped"
        reply = await first.ask("queue.edit", message_id=ids[0], text="too late")
        assert (reply["type"], reply["code"]) == ("error", "not_found")
        history.check(stack, await fresh_snapshots(await alice.connect(), [one]))


async def test_a_line_of_two_members(stack: Stack) -> None:
    """In fair order; each message by its own author; one who is removed leaves a message that does not go."""
    history = History()
    async with session(stack.url) as alice, session(stack.url, "bob@example.org") as bob:
        client = history.watch(await alice.connect(views={}))
        accepted = await client.say("Write [[tokens=150 rate=100]]")
        one = accepted["conversation_id"]
        found = stack.sql("SELECT id FROM accounts_user WHERE email = 'bob@example.org'")
        stack.sql(
            "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) VALUES (%s, %s, 'editor', now())",
            one, found[0]["id"],
        )  # fmt: skip
        other = history.watch(await bob.connect(views={}), "bob")
        await other.ask("subscribe", conversation_id=one)
        for text in ("a1", "a2"):
            await queue(client, text, one)
        his = await queue(other, "b1", one)
        reply = await client.ask("queue.edit", message_id=his["message_id"], text="hers")
        assert (reply["type"], reply["code"]) == ("error", "forbidden")
        await other.until(lambda: not other.views[one].queued, "an empty line", 40)
        await history.settle(stack)
        assert asked(stack, one)[1:] == ["a1", "b1", "a2"]
        history.check(stack, await fresh_snapshots(await alice.connect(), [one]))


async def test_a_failed_answer_keeps_the_line(stack: Stack) -> None:
    """It waits with the reason, and goes on when the answer was tried again with success."""
    history = History()
    async with session(stack.url) as alice:
        client = history.watch(await alice.connect(views={}))
        accepted = await client.say("Write [[tokens=100 rate=60 cut=60]]")
        one = accepted["conversation_id"]
        await queue(client, "next", one)
        await client.ended(accepted["run_id"])
        held = await client.next("message.queued", seconds=30)
        while not held["message"]["reason"]:
            held = await client.next("message.queued", seconds=30)
        assert held["message"]["reason"] == "failed"
        await history.settle(stack)
        now = await client.ask("queue.send_now", message_id=held["message"]["id"])
        assert now["type"] == "ok"
        await client.next("message.unqueued", reason="sent", seconds=30)
        await history.settle(stack)
        history.check(stack, await fresh_snapshots(await alice.connect(), [one]))


async def test_a_repeated_command_waits_once_whoever_answers(stack: Stack) -> None:
    """Sent over two connections to two web processes at once."""
    async with session(stack.url) as alice:
        clients = [await alice.connect(at=web.url) for web in stack.webs]
        accepted = await clients[0].say(f"Write {LONG}")
        one, client_id = accepted["conversation_id"], str(uuid.uuid4())
        replies = await asyncio.gather(*(queue(client, "once", one, client_id=client_id) for client in clients * 3))
        assert len({reply["message_id"] for reply in replies}) == 1
        assert [reply["duplicate"] for reply in replies].count(False) == 1
        await clients[0].ask("run.stop", run_id=accepted["run_id"])
        steered = await clients[1].say("rather", one, when_busy="steer")
        assert steered["type"] == "message.accepted"
        await clients[0].until(lambda: not clients[0].views[one].queued, "an empty line", 30)
        assert asked(stack, one)[1:] == ["rather", "once"]

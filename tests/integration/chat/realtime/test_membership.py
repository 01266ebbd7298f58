"""Members over real sockets: who sees a conversation, who is there, and who sees no more of it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import redis

from tests.integration.chat.realtime.talking import finished, user
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def test_what_belongs_to_others_is_not_found(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "mallory") as mallory:
        client, outsider = await alice.connect(), await mallory.connect()
        accepted = await finished(client, "Secret [[tokens=3]]")
        conversation = accepted["conversation_id"]
        answer = client.views[conversation].runs[accepted["run_id"]]["message_id"]

        def fresh() -> str:
            return str(uuid.uuid4())

        replies = [
            await outsider.ask("subscribe", conversation_id=conversation),
            await outsider.ask("subscribe", conversation_id=fresh()),
            await outsider.say("Hi", conversation),
            await outsider.ask("message.edit", message_id=accepted["message_id"], client_id=fresh(), text="x"),
            await outsider.ask("message.regenerate", message_id=answer, client_id=fresh()),
            await outsider.ask("run.stop", run_id=accepted["run_id"]),
            await outsider.ask("typing", conversation_id=conversation),
            await outsider.say("Hi", None, parent_id=answer),
        ]
        assert [reply.get("code") for reply in replies] == ["not_found"] * 7 + ["invalid"]
        assert not outsider.views
        await client.close()
        await outsider.close()


@pytest.mark.parametrize("told", [True, False])
async def test_who_is_no_member_any_more_sees_nothing_more(stack: Stack, told: bool) -> None:
    """Also when nobody says so: sockets look for themselves after they were cut off from Redis."""
    bobs = "Member.objects.{}(conversation_id={!r}, user=User.objects.get(email='bob@example.org'){})"

    async def administer(deed: str) -> None:
        script = f"from accounts.models import User; from chat.models import Member; {deed}"
        await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", script)

    async with user(stack) as alice, user(stack, "bob") as bob:
        client = await alice.connect()
        shared = (await finished(client, "Shared [[tokens=2]]"))["conversation_id"]
        await administer(bobs.format("create", shared, ", role='editor'"))
        here, there = await bob.connect(), await bob.connect(at=stack.webs[1].url)
        await finished(there, "My own [[tokens=2]]")
        for socket in (here, there):
            assert (await socket.ask("subscribe", conversation_id=shared))["type"] == "subscribed"
        accepted = await client.say("Long [[tokens=600 rate=80]]", shared)
        await here.shows(accepted["run_id"], 20)
        if told:
            await administer(bobs.format("get", shared, "") + ".delete()")
        else:
            stack.sql("DELETE FROM chat_member WHERE conversation_id = %s AND role = 'editor'", shared)
            redis.Redis.from_url(stack.redis.url).client_kill_filter(_type="pubsub")
        assert await here.closed(4) == 4403, "it had nothing else open"
        refused = await there.say("May I?", shared)
        assert refused["code"] == "not_found"
        last = 0
        async with asyncio.timeout(20):  # the other process hears of it, or looks for itself, in its own time
            while last != (last := len(there.frames)):
                await client.shows(accepted["run_id"], len(client.shown(accepted["run_id"])) + 200)
        await client.shows(accepted["run_id"], len(client.shown(accepted["run_id"])) + 300)
        assert not [frame for frame in there.frames[last:] if frame.get("conversation_id") == shared]
        await client.ask("run.stop", run_id=accepted["run_id"])
        await client.ended(accepted["run_id"])
        await asyncio.gather(client.close(), there.close())


async def test_members_see_each_other_come_and_go(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client = await alice.connect()
        accepted = await finished(client, "Together [[tokens=3]]")
        conversation = accepted["conversation_id"]
        stack.sql(
            "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) "
            "SELECT %s, id, 'editor', now() FROM accounts_user WHERE email = 'bob@example.org'",
            conversation,
        )
        await client.ask("subscribe", conversation_id=conversation)
        other = await bob.connect(at=stack.webs[1].url)
        await other.ask("subscribe", conversation_id=conversation)

        def names(frame: dict[str, Any]) -> list[str]:
            return sorted(person["name"] for person in frame["users"])

        def both() -> bool:
            return any(frame["type"] == "presence" and names(frame) == ["Alice", "Bob"] for frame in client.frames)

        await client.until(both, "Alice and Bob")
        await other.send("typing", conversation_id=conversation)
        typing = await client.next("typing")
        assert typing["user"]["name"] == "Bob"
        reply = await other.say("Hello from Bob [[tokens=2]]", conversation)
        assert (await client.ended(reply["run_id"]))["ended"] == "run.done"
        await other.close()
        await client.until(lambda: names([f for f in client.frames if f["type"] == "presence"][-1]) == ["Alice"])
        await client.close()

"""Waiting lines while processes end: nothing that waits is lost, sent twice, or sent out of order (R27)."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.driving import holder, poll, scene
from tests.chaos.people import restart_redis
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

SYSTEM = {"web": 2, "workers": 2, "env": {"RUN_LEASE_SECONDS": "3"}}
WAITING = "SELECT id, reason FROM chat_queuedmessage WHERE state = 'waiting'"
ASKED = "SELECT text FROM chat_message WHERE conversation_id = %s AND role = 'user' ORDER BY created_at"

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]


async def test_r27_lines_survive_kills_and_an_empty_redis(system: tuple[Stack, FakeOpenAI]) -> None:
    """A web process and a worker are killed and Redis comes back empty, while two messages wait in each of four lines.

    An answer whose worker was lost has failed: what waits for it says so, until somebody sends it.
    """
    stack, _ = system
    async with scene(stack, web=1) as here:
        client = await here.connect(at=stack.webs[1].url)
        lines = []
        for number in range(4):
            accepted = await here.say(client, f"{number} [[tokens=150 rate=50]]")
            one = accepted["conversation_id"]
            for text in ("first", "second"):
                reply = await client.say(f"{text} [[tokens=3]]", one, when_busy="queue")
                assert reply["queued"], reply
            lines.append((one, accepted["run_id"]))
        await client.shows(lines[-1][1], 20)
        lost = holder(stack, lines[0][1])
        lost.kill()
        stack.webs[0].kill()
        await asyncio.to_thread(restart_redis, stack.redis, empty=True)
        await poll(lambda: not [row for row in stack.sql(WAITING) if not row["reason"]], "what is due being sent", 60)
        while waiting := stack.sql(f"{WAITING} ORDER BY position"):
            reply = await client.ask("queue.send_now", message_id=str(waiting[0]["id"]))
            assert reply["type"] == "ok" or reply["code"] == "not_found", reply
            await poll(lambda: not [row for row in stack.sql(WAITING) if not row["reason"]], "its line going on", 60)
        for number, (one, _) in enumerate(lines):
            asked = [row["text"].split(" [[")[0] for row in stack.sql(ASKED, one)]
            assert asked == [f"{number}", "first", "second"]
        await here.judge(30)

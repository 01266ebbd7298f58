"""A judge that staff switch on, in the real processes: workers read it, test it, ask it, and it refuses a question."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.client import session
from tests.fakes.judge_server import JudgeServer
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

LONG = 60.0
CREATE = """
from workers.models import Endpoint, Judge, JudgedCategory
from workers.moderation.judge_test import request_judge_test
endpoint = Endpoint.objects.create(name="Judging", base_url={url!r}, use="standby")
judge = Judge.objects.create(name="Judge", endpoint=endpoint, model="m", directions=["asked"], timeout=10)
JudgedCategory.objects.create(judge=judge, category="violence", threshold=0.5, action="block")
print("RESULT", request_judge_test(judge.pk).message)
Judge.objects.update(enabled=True)
"""


@pytest.fixture
async def judge(stack: Stack) -> AsyncGenerator[JudgeServer]:
    async with JudgeServer() as server:
        server.says("violence", 0.9, about="kill")
        yield server
        for table in ("workers_judgedcategory", "workers_judge", "workers_endpoint", "chat_moderationcase"):
            await asyncio.to_thread(stack.sql, f"DELETE FROM {table}")  # noqa: S608 -- constants


async def test_from_the_database_to_a_refused_question(stack: Stack, judge: JudgeServer) -> None:
    said = await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", CREATE.format(url=judge.url))
    assert "It works: a verdict took" in str(said)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        deadline = time.monotonic() + LONG
        while True:  # a change is in force within seconds
            run = await _asked(stack, client, "I will kill the process")
            if run["status"] == "stopped":
                break
            assert time.monotonic() < deadline, "the worker did not read the judge"
            await asyncio.sleep(1)
        assert (run["error_code"], run["answer"]) == ("moderated", "")
        unasked = await client.say("I will kill them, too", ask=False)
        await _withheld(stack, unasked["message_id"])
        harmless = await _asked(stack, client, "Which trains go to Rome?")
        assert harmless["status"] == "done"
    case, _ = await asyncio.to_thread(stack.sql, "SELECT * FROM chat_moderationcase ORDER BY opened_at")
    assert (case["original"], case["origin"], case["action"]) == ("I will kill the process", "judge", "block")
    [message] = await asyncio.to_thread(stack.sql, "SELECT * FROM chat_message WHERE id = %s", case["target_id"])
    shown = message["moderation"] if isinstance(message["moderation"], dict) else json.loads(message["moderation"])
    assert (message["text"], shown["action"]) == ("", "block")
    entries = await asyncio.to_thread(stack.sql, "SELECT * FROM accounts_usageentry WHERE purpose = 'moderation'")
    assert len(entries) >= 2
    assert {entry["user_id"] for entry in entries} == {None}


async def _asked(stack: Stack, client: Any, text: str) -> Any:
    """The row of a run that has ended: after something was withheld, clients take a snapshot instead of its end."""
    accepted = await client.say(text)
    deadline = time.monotonic() + LONG
    while True:
        [row] = await asyncio.to_thread(
            stack.sql,
            "SELECT r.*, m.text AS answer FROM chat_run r JOIN chat_message m ON m.id = r.message_id WHERE r.id = %s",
            accepted["run_id"],
        )
        if row["status"] not in ("queued", "running"):
            return row
        assert time.monotonic() < deadline, "the run did not end"
        await asyncio.sleep(0.1)


async def _withheld(stack: Stack, message_id: str) -> None:
    """Returns once a message that asks nobody has lost its text."""
    deadline = time.monotonic() + LONG
    while (await asyncio.to_thread(stack.sql, "SELECT text FROM chat_message WHERE id = %s", message_id))[0]["text"]:
        assert time.monotonic() < deadline, "the message was not judged"
        await asyncio.sleep(0.1)

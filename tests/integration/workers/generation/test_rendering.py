"""Answers that are made to be costly to render, in a running system: nobody else's answers wait for them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from typing import Any

import psutil

from chat.markdown.plain import NOTE
from tests.client import Client, session
from tests.stack import Stack

HOSTILE = {
    "html+ng2": "```html+ng2\n" + "(" * 10_000,
    "longer html+ng2": "```html+ng2\n" + "(" * 20_000,
    "html+handlebars": "```html+handlebars\n" + "{{" * 10_000,
    "images": "![" * 14_000,
}


def scripted(text: str) -> str:
    return f"[[text={json.dumps(text)}]]"


def html_of(stack: Stack, run_id: str) -> Any:
    [row] = stack.sql(
        "SELECT m.html, r.status FROM chat_run r JOIN chat_message m ON m.id = r.message_id WHERE r.id = %s",
        uuid.UUID(run_id),
    )
    return row


def render_processes(stack: Stack) -> list[psutil.Process]:
    children = psutil.Process(stack.workers[0].pid).children()
    return [child for child in children if "chat.markdown.child" in " ".join(child.cmdline())]


async def done(client: Client, run_id: str) -> dict[str, Any]:
    """The closing event of a run."""
    await client.ended(run_id)
    [event] = [frame for frame in client.frames if frame["type"] == "run.done" and frame["run_id"] == run_id]
    return event


async def test_eight_hostile_answers_cost_a_stranger_nothing(stack: Stack) -> None:
    async with session(stack.url, "mallory@example.org") as mallory, session(stack.url, "alice@example.org") as alice:
        attacker, stranger = await mallory.connect(), await alice.connect()
        runs = [await attacker.say(scripted(text)) for text in list(HOSTILE.values()) * 2]
        started = time.monotonic()
        hello = await stranger.say("hello [[tokens=5]]")
        ended = await done(stranger, hello["run_id"])
        assert ended["html"] == '<p dir="auto">tok0 tok1 tok2 tok3 tok4</p>\n'
        assert time.monotonic() - started < 8
        for run, name in zip(runs, list(HOSTILE) * 2, strict=True):
            # From the database: all of it is more than the send window of one socket.
            while (row := html_of(stack, run["run_id"]))["status"] == "running" or not row["html"]:
                await asyncio.sleep(0.1)
                assert time.monotonic() - started < 30
            assert row["status"] == "done"
            assert (NOTE in row["html"]) == (name == "images")
        for one in (attacker, stranger):
            await one.close()


async def test_a_render_that_hangs_is_killed_while_tokens_of_others_go_on(stack: Stack) -> None:
    async with session(stack.url, "mallory@example.org") as mallory, session(stack.url, "alice@example.org") as alice:
        attacker, stranger = await mallory.connect(), await alice.connect()
        await attacker.ended((await attacker.say("warm up [[tokens=2]]"))["run_id"])
        other = await stranger.say("Tell me [[tokens=400 rate=50]]")
        await stranger.shows(other["run_id"], 20)
        hanging = render_processes(stack)
        assert hanging
        for process in hanging:
            process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        run = await attacker.say(scripted("**bold**"))
        shown = []
        while not any(f.get("run_id") == run["run_id"] and f["type"] == "run.done" for f in attacker.frames):
            shown.append(len(stranger.shown(other["run_id"])))
            await asyncio.sleep(0.25)
            assert time.monotonic() - started < 12
        assert shown[-1] > shown[0], "the other answer went on"
        assert all(later > earlier for earlier, later in zip(shown[::2], shown[2::2], strict=False))
        ended = await done(attacker, run["run_id"])
        assert ended["html"] == f'<div class="plain">**bold**</div><p class="plain-note">{NOTE}</p>'
        for process in hanging:
            if process.is_running():
                process.send_signal(signal.SIGCONT)
        again = await done(attacker, (await attacker.say(scripted("**bold**")))["run_id"])
        assert again["html"] == '<p dir="auto"><strong>bold</strong></p>\n'
        for one in (attacker, stranger):
            await one.close()


async def test_html_is_there_as_soon_as_the_answer_has_ended(stack: Stack) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        run = await client.say(scripted("**kept**"))
        ended = await done(client, run["run_id"])
        assert html_of(stack, run["run_id"]) == {"html": ended["html"], "status": "done"}
        await client.close()

"""A text that a rule withholds of an answer is in nothing that any client, model, log or key ever has."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import subprocess
import uuid
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config.stack.account import installed
from tests.client import Client, Session, session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.redis_contents import redis_contents
from tests.fixtures.stack_rules import rules_of
from tests.stack import Stack
from tests.watching import watcher

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

MASKED, BLOCKED, LATE, PROBE = "Xanthomask", "Xanthoblock", "Xantholate", "Probeword"
LIVE = {"kind": "live", "audience": "users", "days": "1"}
RULES: list[dict[str, Any]] = [
    {"name": "canary mask", "action": "mask", "words": [MASKED, PROBE]},
    {"name": "canary block", "action": "block", "words": [BLOCKED], "notice": "No canaries."},
    # Several words, of which the last one is held back: the others are shown before it is found.
    {"name": "canary late", "action": "block", "patterns": [rf"{LATE}(?: \w+){{3,8}} ends"]},
]


@pytest.fixture(scope="module", autouse=True)
def _rules(stack: Stack) -> Iterator[None]:
    with rules_of(stack, *RULES):
        yield


@pytest.fixture
async def alice(stack: Stack, upstream: FakeOpenAI) -> AsyncGenerator[Session, None]:
    """Logged in, once the rules are in force in the worker."""
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        async with asyncio.timeout(60):
            while True:
                upstream.play(Script(text=f"The {PROBE} is"))
                accepted = await client.say("Are they?")
                assert accepted["type"] == "message.accepted", accepted
                if "***" in (await client.ended(accepted["run_id"]))["text"]:
                    break
                await asyncio.sleep(0.3)  # the rate of messages is limited
        await client.close()
        yield alice


def stream(text: str, *, size: int, thinking: str = "", ends: bool = True) -> Script:
    """An answer in pieces of `size` characters, over many flushes. If it does not end, it hangs."""
    deltas = [{"reasoning_content": thinking[at : at + size]} for at in range(0, len(thinking), size)]
    deltas += [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    events = [f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}\n\n" for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    body = "".join(events) + (f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n" if ends else "")
    write = max(map(len, events))
    return Script(body="raw", text=body, split=write, drip=0.02, hang=-1 if ends else -(-len(body) // write))


async def everywhere(
    stack: Stack, alice: Session, conversation: str, clients: list[Client], tmp_path: Path
) -> dict[str, str]:
    """All that anybody can have of a conversation, by where it is; not what the model was asked."""
    found = {f"frames of client {number}": json.dumps(client.frames) for number, client in enumerate(clients)}
    late = await alice.connect()
    found["snapshot"] = json.dumps(await late.ask("subscribe", conversation_id=conversation))
    epochs = {view.epoch for client in clients for view in client.views.values()}
    for epoch in epochs:
        for seq in (0, 1, 2, 3, 5, 8):
            found[f"replay from {seq} of {epoch}"] = await replayed(alice, conversation, {"epoch": epoch, "seq": seq})
    paths = [f"/c/{conversation}/", f"/c/{conversation}/export/?as=markdown", f"/c/{conversation}/older/"]
    paths += [f"/c/{conversation}/export/?as=json&reasoning=1", "/conversations/export/", "/conversations/"]
    paths += [f"/c/{conversation}/print/", f"/c/{conversation}/part/?at=start", f"/c/{conversation}/part/?at=end"]
    for word in (MASKED, BLOCKED, LATE):
        paths += [f"/search/?q={word}", f"/search/?q={word[:-1]}", f"/c/{conversation}/find/?q={word}"]
    for path in paths:
        async with alice.http.get(stack.url + path) as page:
            found[path] = await page.text()
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        found["redis"] = redis_contents(client)
    for process in stack.processes:
        found[f"log of {process.name}"] = process.output()
        for line in process.output()[process.said_before :].splitlines():  # since it was last started
            if '"event": "metrics_served"' in line:
                found[f"metrics of {process.name}"] = fetch(json.loads(line)["port"])
    found |= await shared(alice, conversation, epochs)
    found["backup"] = await asyncio.to_thread(backup_but_cases, stack, tmp_path)
    named = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    tables = [row["name"] for row in stack.sql(named) if not row["name"].startswith("chat_moderation")]
    assert {"chat_messagewords", "chat_conversationwords", "chat_unjudged", "django_admin_log"} <= set(tables)
    for table in tables:
        rows = stack.sql(f'SELECT t::text AS row FROM "{table}" t')  # noqa: S608 -- names of tables
        found[table] = "\n".join([table, *(row["row"] for row in rows)])
    return found


async def shared(alice: Session, conversation: str, epochs: set[str]) -> dict[str, str]:
    """What readers of share links get: the pages, and the stream from the beginning and from old positions."""
    found = {}
    for kind in ("snapshot", "live"):
        form = {"kind": kind, "audience": "users", "days": "1", "names": "1", "reasoning": "1"}
        answer = await alice.post(f"/c/{conversation}/shares/new/", form)
        assert answer.status == 200, await answer.text()
        url = (await answer.json())["url"]
        async with alice.http.get(url) as page:
            found[f"{kind} share"] = await page.text()
    for last in ["", *(f"{epoch}.{seq}" for epoch in epochs for seq in (0, 1, 2, 5))]:
        async with watcher(url, http=alice.http) as reader:
            await reader.open(last=last)
            await asyncio.sleep(0.3)  # what is replayed follows at once
            await reader.until(lambda: reader.status == 200, "a stream")
            found[f"stream from {last or 'the beginning'}"] = json.dumps([reader.last, reader.events])
    return found


def backup_but_cases(stack: Stack, folder: Path) -> str:
    """What a backup has, as SQL; without the cases of moderation, which keep what was withheld, and the rules."""
    file, restore = str(folder / f"{uuid.uuid4()}.dump"), str(installed() / "pg_restore")
    stack.manage("backup", file)
    listed = subprocess.run([restore, "--list", file], capture_output=True, text=True, check=True).stdout.splitlines()
    kept = [line for line in listed if not re.search("TABLE DATA .* chat_moderation", line)]
    assert len(kept) < len(listed)
    (folder / "contents").write_text("\n".join(kept))
    command = [restore, "--use-list", str(folder / "contents"), "--file", "-", file]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def replayed(alice: Session, conversation: str, position: dict[str, Any]) -> str:
    """All frames that a client at this position gets, as they come."""
    protocols = ("chat.v1", f"ticket.{await alice.ticket()}")
    address = alice.url.replace("http", "ws", 1) + "/ws/"
    frames: list[str] = []
    async with alice.http.ws_connect(address, protocols=protocols, origin=alice.url) as socket:
        command = {"type": "subscribe", "ref": "r", "conversation_id": conversation, "position": position}
        await socket.send_str(json.dumps(command))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while not (frames and '"ref":"r"' in frames[-1]):
                    frames.append(await socket.receive_str())
            async with asyncio.timeout(0.5):  # what is replayed follows at once
                while True:
                    frames.append(await socket.receive_str())
    assert any('"type":"subscribed"' in frame for frame in frames)
    return "".join(frames)


def fetch(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def places(found: dict[str, str], *canaries: str) -> list[str]:
    """Where one of these is, in whatever case: the search index has words in lower case."""
    assert all(found.values()), [where for where, text in found.items() if not text]
    return [
        f"{where}: {text[max(0, at - 80) : at + 40]!r}"
        for where, text in found.items()
        for canary in canaries
        if (at := text.lower().find(canary.lower())) >= 0
    ]


async def watch(alice: Session, client: Client, conversation: str) -> Client:
    """A second reader, who comes in while the answer is being written."""
    other = await alice.connect()
    await other.ask("subscribe", conversation_id=conversation)
    return other


@pytest.mark.parametrize("size", [1, 5, 40])
async def test_what_is_masked_or_blocked_is_nowhere(
    stack: Stack, upstream: FakeOpenAI, alice: Session, size: int, tmp_path: Path
) -> None:
    """In the answer and in the thinking, in pieces of any size; nor has the model it in its next context."""
    client = await alice.connect()
    text = f"It is a {MASKED}, as everybody knows, and {BLOCKED} follows. "
    upstream.play(stream(text, size=size, thinking=f"Well, {MASKED} it is.", ends=False))
    accepted = await client.say("Tell me")
    conversation = accepted["conversation_id"]
    other = await watch(alice, client, conversation)
    made = await alice.post(f"/c/{conversation}/shares/new/", {**LIVE, "names": "1", "reasoning": "1"})
    async with watcher((await made.json())["url"], http=alice.http) as reader:
        await reader.open()
        shown = await reader.sees_end_of(accepted["run_id"])
    assert (shown["ended"], shown["text"], shown["reasoning"]) == (
        "run.stopped", "It is a ***, as everybody knows, and ", "Well, *** it is.",
    )  # fmt: skip
    assert not places({"reader": json.dumps(reader.events)}, MASKED, BLOCKED, "site's rules")
    run = await client.ended(accepted["run_id"])
    assert (run["ended"], run["text"], run["reasoning"]) == (
        "run.stopped", "It is a ***, as everybody knows, and ", "Well, *** it is.",
    )  # fmt: skip
    final = run["final"]
    assert (final["code"], final["message"]) == ("moderated", "Stopped by this site's rules: No canaries.")
    notice = next(frame for frame in client.frames if frame["type"] == "moderation.notice")
    assert (notice["action"], notice["run_id"]) == ("block", accepted["run_id"])
    await asyncio.to_thread(upstream.chats[-1].wait_ended)
    upstream.play(Script(tokens=2))
    again = await client.say("And now?", conversation)
    await client.ended(again["run_id"])
    assert not places({"context": json.dumps(upstream.chats[-1].body)}, MASKED, BLOCKED)
    found = await everywhere(stack, alice, conversation, [client, other], tmp_path)
    assert not places(found, MASKED, BLOCKED), "\n".join(places(found, MASKED, BLOCKED))
    [case] = stack.sql("SELECT * FROM chat_moderationcase WHERE id = %s", notice["case_id"])
    assert case["original"].startswith(f"It is a {MASKED}, as everybody knows, and {BLOCKED}")
    assert case["original_reasoning"] == f"Well, {MASKED} it is."


async def test_what_was_shown_before_the_hit_is_withdrawn(
    stack: Stack, upstream: FakeOpenAI, alice: Session, tmp_path: Path
) -> None:
    """A late hit: clients have had its beginning. After it, nobody can have that again."""
    client = await alice.connect()
    words = " ".join(f"w{number}" for number in range(6))
    text = f"First this. {LATE} {words} ends with that. "
    upstream.play(stream(text, size=6, ends=False))
    accepted = await client.say("Tell me")
    conversation = accepted["conversation_id"]
    other = await watch(alice, client, conversation)
    await client.until(lambda: LATE in client.shown(accepted["run_id"]), "the beginning of the hit")
    epoch = client.views[conversation].epoch
    await client.until(lambda: client.views[conversation].epoch != epoch, "a new epoch", seconds=30)
    run = await client.ended(accepted["run_id"])
    assert (run["ended"], run["text"]) == ("run.stopped", "First this. ")
    assert "w5 ends" not in json.dumps([client.frames, other.frames]), "the end of the hit was never shown"
    before = [client.frames.copy(), other.frames.copy()]
    assert LATE in json.dumps(before)
    fresh = await alice.connect()
    old = await fresh.ask("subscribe", conversation_id=conversation, position={"epoch": epoch, "seq": 2})
    assert not old["recovered"]
    upstream.play(Script(tokens=2))
    again = await fresh.say("And now?", conversation)
    await fresh.ended(again["run_id"])
    assert not places({"context": json.dumps(upstream.chats[-1].body)}, LATE)
    found = await everywhere(stack, alice, conversation, [fresh], tmp_path)
    assert not places(found, LATE), "\n".join(places(found, LATE))

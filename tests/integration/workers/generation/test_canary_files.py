"""What a rule withholds of an attached file, or of its name, is in nothing that a model or another person ever has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import Session, session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stack_rules import rules_of
from tests.integration.workers.generation.test_canary import everywhere, places
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

MASKED, BLOCKED, PROBE = "Zygomask", "Zygoblock", "Probefile"
NAME_MASKED, NAME_BLOCKED, NAME_PROBE = "Zygonamed", "Zygorefused", "Probename"
RULES: list[dict[str, Any]] = [
    {"name": "file mask", "action": "mask", "words": [MASKED, PROBE], "directions": ["files"]},
    {"name": "file block", "action": "block", "words": [BLOCKED], "directions": ["files"]},
    {"name": "name mask", "action": "mask", "words": [NAME_MASKED, NAME_PROBE], "directions": ["named"]},
    {"name": "name block", "action": "block", "words": [NAME_BLOCKED], "directions": ["named"]},
]
OWN = ("chat_filetext",)  # tables with what a file says: they are read for its owner, and before moderation


@pytest.fixture(scope="module", autouse=True)
def _rules(stack: Stack) -> Iterator[None]:
    with rules_of(stack, *RULES):
        yield


@pytest.fixture
async def alice(stack: Stack, upstream: FakeOpenAI) -> AsyncGenerator[Session, None]:
    """Logged in, once the rules are in force in all processes."""
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        async with asyncio.timeout(60):
            while True:
                file = await uploaded(alice, f"{NAME_PROBE} probe.txt", f"The {PROBE} is here.")
                accepted = await client.say("Are they?", attachments=[file["id"]])
                assert accepted["type"] == "message.accepted", accepted
                await client.ended(accepted["run_id"])
                asked = json.dumps(upstream.chats[-1].body)
                if PROBE not in asked and NAME_PROBE not in asked:
                    break
                await asyncio.sleep(0.3)  # the rates are limited
        await client.close()
        yield alice


async def uploaded(alice: Session, name: str, text: str, *, pasted: bool = False) -> dict[str, Any]:
    """A file that has been uploaded and read; the answer to the request, if that is refused."""
    content = text.encode()
    answer = await alice.post(
        "/uploads/new/", {"name": name, "size": str(len(content)), "pasted": "1" if pasted else ""}
    )
    begun: dict[str, Any] = await answer.json()
    if answer.status != 201:
        return begun
    headers = {"X-CSRFToken": alice._token(), "Referer": alice.url + "/", "Origin": alice.url}
    headers["Content-Type"] = "application/octet-stream"
    url = f"{alice.url}/uploads/{begun['id']}/?offset=0"
    async with alice.http.put(url, data=content, headers=headers) as put:
        assert put.status == 200, await put.text()
    finished = await alice.post(f"/uploads/{begun['id']}/finish/")
    file: dict[str, Any] = (await finished.json())["file"]
    async with asyncio.timeout(60):
        while True:
            async with alice.http.get(f"{alice.url}/attachments/{file['id']}/state/") as state:
                if (await state.json())["state"] == "read":
                    return file
            await asyncio.sleep(0.1)


async def test_what_is_withheld_of_files_is_nowhere(
    stack: Stack, upstream: FakeOpenAI, alice: Session, tmp_path: Path
) -> None:
    """A file of which a word is masked, a long paste that is withheld, a masked and a refused name."""
    client = await alice.connect()
    masked = await uploaded(alice, f"a {NAME_MASKED} b.txt", f"It is a {MASKED}, as everybody knows.")
    pasted = await uploaded(alice, "pasted.txt", f"Words. {BLOCKED} and more. " * 400, pasted=True)
    refused = await uploaded(alice, f"{NAME_BLOCKED}.txt", "Nothing.")
    assert (masked["name"], refused["code"]) == ("a *** b.txt", "moderated")
    upstream.play(Script(tokens=3))
    accepted = await client.say("What do they say?", attachments=[masked["id"], pasted["id"]])
    await client.ended(accepted["run_id"])
    context = json.dumps(upstream.chats[-1].body)
    assert "as everybody knows" in context
    assert not places({"context": context}, MASKED, BLOCKED, NAME_MASKED, NAME_BLOCKED)
    conversation = accepted["conversation_id"]
    upstream.play(Script(tokens=3))
    again = await client.say("And now?", conversation)  # the files go with it
    await client.ended(again["run_id"])
    assert not places({"context": json.dumps(upstream.chats[-1].body)}, MASKED, BLOCKED, NAME_MASKED, NAME_BLOCKED)
    bob = stack.sql("SELECT id::text AS id FROM accounts_user WHERE email = 'bob@example.org'")[0]["id"]
    stack.sql(
        "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) VALUES (%s, %s, 'editor', now())"
        " RETURNING id", conversation, bob,
    )  # fmt: skip
    form = {"kind": "live", "audience": "users", "days": "1", "names": "1", "files": "1"}
    link = (await (await alice.post(f"/c/{conversation}/shares/new/", form)).json())["url"]
    found = await everywhere(stack, alice, conversation, [client], tmp_path)
    async with session(stack.url, "bob@example.org") as other:
        for way in ("", "text/", "thumbnail/"):
            async with other.http.get(f"{other.url}/attachments/{pasted['id']}/{way}") as answer:
                assert answer.status == 404, way
        for path in (
            f"{link}files/{pasted['id']}/",
            f"{link}files/{pasted['id']}/text/",
            link,
            f"{other.url}/search/?q={BLOCKED}",
        ):
            async with other.http.get(path) as answer:
                found[f"for Bob: {path}"] = f"{answer.status} {await answer.text()}"
        page = await other.connect()
        found["Bob's snapshot"] = json.dumps(await page.ask("subscribe", conversation_id=conversation))
    backup = found.pop("backup")
    for table in OWN:
        del found[table]
    withheld = (MASKED, BLOCKED, NAME_MASKED, NAME_BLOCKED)
    assert not places(found, *withheld), "\n".join(places(found, *withheld))
    assert not places({"backup": backup}, NAME_MASKED, NAME_BLOCKED)
    cases = stack.sql("SELECT direction, original FROM chat_moderationcase WHERE target = 'file'")
    for name, passage in (("a *** b.txt", MASKED), ("pasted.txt", BLOCKED)):
        assert any(one["original"].startswith(f"{name}\n\n") and passage in one["original"] for one in cases), name
    named = [one["original"] for one in cases if one["direction"] == "named"]
    assert {f"a {NAME_MASKED} b.txt", f"{NAME_BLOCKED}.txt"} <= set(named)

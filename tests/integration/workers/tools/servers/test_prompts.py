"""Prompts of MCP servers: what is listed of them, and the text that a server fills in."""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator
from typing import Any

import pytest

from accounts.lib.db import in_db
from chat.models import ServerKind, ToolServer
from tests.fakes.mcp_server import Running, Scripted, Seen, make_server, running
from tests.integration.workers.tools.servers.test_sessions import stored
from workers.tools.base import ToolError
from workers.tools.servers import requests
from workers.tools.servers.prompts import fetch_prompt
from workers.tools.servers.refresh import refresh

ME = uuid.uuid4()


@pytest.fixture(scope="module")
def fake() -> Generator[Running]:
    with running(make_server(Seen()).streamable_http_app()) as server:
        yield server


@pytest.mark.django_db(transaction=True)
async def test_a_prompt_from_its_listing_to_its_text(fake: Running) -> None:
    server = await in_db(
        ToolServer.objects.create,
        slug="fake", title="Fake", kind=ServerKind.MCP_HTTP, address=f"{fake.origin}/mcp",
    )  # fmt: skip
    await refresh(server.pk)
    await in_db(server.refresh_from_db)
    assert [(one["name"], one["arguments"]) for one in server.prompts] == [
        ("greet", [{"name": "name", "description": "", "required": True}])
    ]
    reply = await requests._do("prompt", server.pk, [str(ME), "greet", json.dumps({"name": "Ann"})])
    assert (reply.passed, reply.text) == (True, "Greet Ann.")


def prompt(*messages: tuple[str, Any]) -> dict[str, Any]:
    contents = [{"type": "text", "text": one} if isinstance(one, str) else one for _, one in messages]
    return {"messages": [{"role": role, "content": one} for (role, _), one in zip(messages, contents, strict=True)]}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (prompt(("user", "One."), ("user", "Two.")), "One.\n\nTwo."),
        (prompt(("user", "Hi"), ("assistant", "Yes?")), "User: Hi\n\nAssistant: Yes?"),
        (prompt(("user", "hid\u202eden\x1b[31m")), "hidden[31m"),
        (prompt(("user", "x" * 50_000)), "x" * 40_000),
        (
            prompt(("user", {"type": "resource", "resource": {"uri": "memo://1", "text": "a memo"}})),
            "[Resource memo://1]\na memo",
        ),
        (
            prompt(("user", {"type": "image", "data": "AAAA", "mimeType": "image/png"}), ("user", "What is it?")),
            "[image/png, which is left out]\n\nWhat is it?",
        ),
    ],
)
async def test_texts_of_prompts(answer: dict[str, Any], text: str) -> None:
    with running(Scripted({"prompts/get": answer}).app()) as server:
        fetched = await fetch_prompt(stored(f"{server.origin}/mcp", protocol="2025-06-18"), ME, "any", {})
    assert fetched == text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"messages": []}, "gave a prompt without text"),
        ({"messages": "none"}, "sent an answer that cannot be read"),
    ],
)
async def test_prompts_that_are_none(answer: Any, said: str) -> None:
    with running(Scripted({"prompts/get": answer}).app()) as server, pytest.raises(ToolError, match=said):
        await fetch_prompt(stored(f"{server.origin}/mcp", protocol="2025-06-18"), ME, "any", {})

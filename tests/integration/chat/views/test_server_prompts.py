"""The prompts of tool servers, as the message field asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from chat.jobs import tool_servers as ask
from chat.jobs.tool_servers import ServerReply
from chat.models import ToolServer
from tests.conftest import make_user

pytestmark = pytest.mark.usefixtures("db")

ARGUMENTS = [
    {"name": "topic", "description": "What about.", "required": True},
    {"name": "tone", "description": "", "required": False},
]


@pytest.fixture
def server() -> ToolServer:
    write = {"name": "write", "title": "Write", "description": "Writes.", "arguments": ARGUMENTS}
    old = {"name": "old", "title": "Old", "description": "", "arguments": ["about"]}
    return ToolServer.objects.create(slug="wiki", title="Wiki", address="https://w.example/mcp", prompts=[write, old])


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def answer(*args: Any) -> ServerReply:
        asked.append(args)
        return ServerReply(True, text="The text.")

    monkeypatch.setattr(ask, "request_prompt", answer)
    return asked


def fill_in(browser: Client, server: ToolServer, name: str, arguments: str) -> Any:
    return browser.post(f"/connections/{server.pk}/prompt/", {"name": name, "arguments": arguments})


def test_the_list_has_those_of_usable_servers(browser: Client, server: ToolServer) -> None:
    ToolServer.objects.create(slug="x", title="X", address="https://x.example", prompts=server.prompts, limited=True)
    ToolServer.objects.create(slug="y", title="Y", address="https://y.example", prompts=[])
    found = browser.get("/connections/prompts/").json()["prompts"]
    assert [(one["server_id"], one["server"], one["name"]) for one in found] == [
        (str(server.pk), "Wiki", "write"),
        (str(server.pk), "Wiki", "old"),
    ]
    assert found[0]["arguments"] == ARGUMENTS
    assert found[1]["arguments"] == [{"name": "about", "description": "", "required": False}]


def test_a_prompt_is_filled_in(browser: Client, ann: User, server: ToolServer, worker: list[Any]) -> None:
    given = {"topic": "cats", "tone": " ", "unknown": "ignored"}
    reply = fill_in(browser, server, "write", json.dumps(given))
    assert reply.json() == {"text": "The text."}
    assert worker == [(server.pk, ann.pk, "write", {"topic": "cats"})]
    assert fill_in(browser, server, "old", "").json() == {"text": "The text."}


@pytest.mark.parametrize(
    ("name", "arguments", "status", "said"),
    [
        ("write", "{}", 400, "Fill in “topic”."),
        ("write", "[]", 400, "JSON object"),
        ("write", '{"topic": 1}', 400, "JSON object"),
        ("write", "[" * 100_000, 400, "JSON object"),
        ("write", json.dumps({"topic": "x" * 20_001}), 400, "too long"),
        ("other", "{}", 404, ""),
    ],
)
def test_what_is_refused(
    browser: Client, server: ToolServer, worker: list[Any], name: str, arguments: str, status: int, said: str
) -> None:
    reply = fill_in(browser, server, name, arguments)
    assert reply.status_code == status
    assert said in reply.json()["message"]
    assert worker == []


def test_servers_of_others_and_servers_that_fail(
    browser: Client, server: ToolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "request_prompt", lambda *args: ServerReply(False, "Wiki cannot be reached."))
    reply = fill_in(browser, server, "write", '{"topic": "cats"}')
    assert (reply.status_code, reply.json()["message"]) == (503, "Wiki cannot be reached.")
    ToolServer.objects.update(owner=make_user("Bob"))
    assert fill_in(browser, server, "write", '{"topic": "cats"}').status_code == 404
    assert browser.get("/connections/prompts/").json() == {"prompts": []}

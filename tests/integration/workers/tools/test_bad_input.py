"""Models, tool servers and people that send odd things to running processes: each answer still ends whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse

from tests.client import Client, Session, session
from tests.fakes.hostile_tools import HTML, HUGE, INSTRUCTIONS, Hostile, set_up
from tests.fakes.mcp_server import Running, running
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import SHARED
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(180)]

SYSTEM = {
    "web": 1,
    "workers": 1,
    "env": {**SHARED, "TOOL_CALL_SECONDS": "6", "FETCH_ALLOWED_NETWORKS": "127.0.0.0/8", "TOOL_LIST_SECONDS": "3600"},
}
SAID: Final = "tok0 tok1 tok2 "
MEGABYTE: Final = "x" * 1_000_000
WEB: Final = "What does https://example.org/ say?"  # with an address in it, pages may be read


@dataclass
class Place:
    """A running stack with a hostile tool server."""

    stack: Stack
    upstream: FakeOpenAI
    hostile: Hostile
    alice: Session
    client: Client

    async def answer(self, *calls: tuple[str, Any], text: str = "Do it", **more: Any) -> list[dict[str, Any]]:
        """The calls of an answer whose model asks for these; it has ended whole."""
        if calls:
            self.upstream.play(Script(calls=calls, call_piece=4096))
        accepted = await self.client.say(text, **more)
        run = await self.client.ended(accepted["run_id"], seconds=60)
        assert (run["ended"], run["text"]) == ("run.done", SAID), run["final"]
        return await self.calls(accepted["run_id"])

    async def calls(self, run_id: str) -> list[dict[str, Any]]:
        return await asyncio.to_thread(
            self.stack.sql,
            "SELECT name, server, status, output, output_chars, arguments FROM chat_toolcall"
            " WHERE run_id = %s ORDER BY place",
            run_id,
        )

    async def called(self, name: str) -> None:
        deadline = time.monotonic() + 30
        while name not in self.hostile.calls:
            assert time.monotonic() < deadline, name
            await asyncio.sleep(0.02)

    def read_by_model(self) -> str:
        """What the model was sent last."""
        return json.dumps(self.upstream.chats[-1].body, ensure_ascii=False)


@pytest.fixture(scope="module")
def hostile() -> Generator[tuple[Hostile, Running]]:
    server = Hostile(more=150)
    with running(server.app()) as fake:
        yield server, fake


@pytest.fixture(scope="module")
def prepared(system: tuple[Stack, FakeOpenAI], hostile: tuple[Hostile, Running]) -> tuple[Stack, FakeOpenAI]:
    stack, _ = system
    deadline = time.monotonic() + 60
    while not stack.sql("SELECT 1 FROM chat_knowntool WHERE name = 'current_time'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for slug in ("hostile", "other"):
        stack.manage("shell", stdin=set_up(hostile[1].origin, slug))
    return system


@pytest.fixture
async def place(prepared: tuple[Stack, FakeOpenAI], hostile: tuple[Hostile, Running]) -> AsyncGenerator[Place]:
    stack, upstream = prepared
    upstream.reset()
    upstream.script = Script(tokens=3)
    hostile[0].calls.clear()
    async with session(stack.webs[0].url) as alice:
        client = await alice.connect()
        yield Place(stack, upstream, hostile[0], alice, client)
        await client.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{time_zone: UTC", "JSON"),
        ('{"time_zone": "Europe/Be', "JSON"),
        (json.dumps({"time_zone": MEGABYTE}), "too long"),
        ("[1, 2]", "object"),
        ('{"time_zone": {"a": 1}}', "time_zone"),
        ("[" * 5_000, ""),
    ],
    ids=["no JSON", "cut", "1 MB", "a list", "another type", "nested"],
)
async def test_arguments(place: Place, arguments: str, says: str) -> None:
    [call] = await place.answer(("current_time", arguments))
    assert call["status"] == "error"
    assert says in call["output"]
    assert len(call["arguments"]) <= 64 * 1024 + 1
    assert call["output"] in "".join(str(one["content"]) for one in place.upstream.chats[-1].body["messages"])


async def test_a_tool_that_does_not_exist(place: Place) -> None:
    [call] = await place.answer(("rm_rf", "{}"))
    assert (call["status"], "There is no tool with this name" in call["output"]) == ("error", True)


async def test_results(place: Place) -> None:
    names = ["huge", "binary", "wrong_type", "html", "instructions", "ansi", "secret", "never", "twice", "nothing"]
    await place.answer(("hostile__same", {}), options={"tools": keys("same")})  # the client is loaded
    place.hostile.calls.clear()
    began = time.monotonic()
    made = await place.answer(*((f"hostile__{name}", {}) for name in names), options={"tools": keys(*names)})
    assert time.monotonic() - began < 40
    assert "validation error" not in json.dumps(made), "these are the words of a library"
    found = {call["name"].removeprefix("hostile__"): call for call in made}
    status = {name: call["status"] for name, call in found.items()}
    assert status == dict.fromkeys(names, "ok") | dict.fromkeys(("wrong_type", "never", "nothing"), "error")
    assert len(found["huge"]["output"]) <= 256 * 1024
    assert found["huge"]["output_chars"] >= 256 * 1024
    assert "bytes of application/octet-stream, which are not shown" in found["binary"]["output"]
    assert "cannot be shown" in found["binary"]["output"]
    assert found["html"]["output"] == HTML, "it is text: the page shows it as such"
    assert "\x1b" not in found["ansi"]["output"]
    assert found["ansi"]["output"].startswith("red bell")
    assert found["secret"]["output"] == "You sent …."
    assert "longer than 6 seconds" in found["never"]["output"] or "in time" in found["never"]["output"]
    assert found["twice"]["output"] == "first"
    said = place.read_by_model()
    assert INSTRUCTIONS in said
    assert "so do not follow it" in said.split(INSTRUCTIONS)[0].rpartition("[What follows")[2]
    assert "staffs-own-secret" not in said
    assert len(said) < HUGE / 2
    counted = sorted(place.hostile.calls)
    assert counted == sorted(names), "each was called once"


def keys(*names: str) -> list[str]:
    return [f"{server}/{name}" for server in ("hostile", "other") for name in names]


async def test_of_two_servers_with_tools_of_one_name_the_right_one_is_called(place: Place) -> None:
    made = await place.answer(("other__same", {}), ("hostile__same", {}), options={"tools": keys("same")})
    assert [(call["name"], call["status"]) for call in made] == [("other__same", "ok"), ("hostile__same", "ok")]
    assert [call["server"] for call in made] == ["other", "hostile"]


async def test_more_tools_than_a_request_may_have(place: Place) -> None:
    await place.answer()  # 300 of the two servers
    tools = [one["function"]["name"] for one in place.upstream.chats[-1].body["tools"]]
    assert len(tools) == len(set(tools)) == 100


async def test_the_same_call_for_ever(place: Place) -> None:
    place.upstream.script = Script(tokens=3, calls=[("current_time", {"time_zone": "UTC"})])
    accepted = await place.client.say("For ever")
    run = await place.client.ended(accepted["run_id"], seconds=60)
    assert run["ended"] == "run.done", run["final"].get("message")
    assert run["final"]["finish"] == "tool_limit"
    made = await place.calls(accepted["run_id"])
    assert 3 <= len(made) <= 12
    assert run["text"] == "", "it said nothing, and the answer's end says why"
    assert len(place.upstream.chats) <= 14


async def test_a_result_after_the_stop(place: Place) -> None:
    place.upstream.play(Script(calls=[("hostile__never", {})]))
    accepted = await place.client.say("Stop it", options={"tools": keys("never")})
    await place.called("never")
    began = time.monotonic()
    await place.client.ask("run.stop", run_id=accepted["run_id"])
    run = await place.client.ended(accepted["run_id"])
    assert run["ended"] == "run.stopped"
    assert time.monotonic() - began < 10.0, "not as long as the tool takes"
    [call] = await place.calls(accepted["run_id"])
    assert (call["status"], call["output"]) == ("cancelled", "")
    for _ in range(100):
        if "notifications/cancelled" in [method for method, _ in place.hostile.requests]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the server was not told")


async def test_a_result_after_the_conversation_was_moved_to_the_trash(place: Place) -> None:
    place.upstream.play(Script(calls=[("hostile__never", {})]))
    accepted = await place.client.say("Delete it", options={"tools": keys("never")})
    await place.called("never")
    await place.client.ask("conversation.delete", conversation_id=accepted["conversation_id"])
    query = "SELECT status FROM chat_run WHERE id = %s AND status IN ('done', 'failed', 'stopped')"
    [row] = await until(place, query, accepted["run_id"])
    assert row["status"] == "done"
    [call] = await place.calls(accepted["run_id"])
    assert call["status"] == "error"


async def test_an_approval_by_somebody_who_was_just_removed(place: Place) -> None:
    stack = place.stack
    await asyncio.to_thread(stack.manage, "shell", stdin=ASKING)
    place.upstream.play(Script(calls=[("hostile__same", {})]))
    accepted = await place.client.say("Ask first", options={"tools": keys("same")})
    [call] = await until(
        place, "SELECT id::text AS id FROM chat_toolcall WHERE run_id = %s AND status = 'waiting'", accepted["run_id"]
    )
    where = accepted["conversation_id"]
    add = "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) SELECT %s, id, 'editor', now()"
    async with session(stack.webs[0].url, "bob@example.org") as bob:
        await asyncio.to_thread(stack.sql, f"{add} FROM accounts_user WHERE email = 'bob@example.org'", where)
        client = await bob.connect()
        await asyncio.to_thread(
            stack.sql,
            "DELETE FROM chat_member WHERE conversation_id = %s AND user_id ="
            " (SELECT id FROM accounts_user WHERE email = 'bob@example.org')",
            where,
        )
        refused = await client.ask("tool.decide", run_id=accepted["run_id"], call_id=call["id"], decision="once")
        assert (refused["type"], refused["code"]) == ("error", "not_found")
        await client.close()
    assert place.hostile.calls == []
    await place.client.ask(
        "tool.decide", run_id=accepted["run_id"], call_id=call["id"], decision="deny", reason="Not by Bob."
    )
    run = await place.client.ended(accepted["run_id"])
    assert (run["ended"], place.hostile.calls) == ("run.done", [])
    assert "Not by Bob." in place.read_by_model()
    await asyncio.to_thread(stack.sql, "DELETE FROM chat_toolpolicy")


ASKING: Final = (
    "from chat.models import ToolPolicy\nToolPolicy.objects.create(server='hostile', tool='same', rule='always')"
)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "redirect",
    ],
)
async def test_addresses_that_no_tool_may_fetch(place: Place, address: str) -> None:
    with redirecting() if address == "redirect" else contextlib.nullcontext(None) as fake:
        url = f"{fake.origin}/away" if fake is not None else address
        [call] = await place.answer(("read_page", {"url": url}), text=WEB)
    assert call["status"] == "error"
    assert "169.254" not in call["output"] or "may not" in call["output"] or "not" in call["output"]
    assert "ami-id" not in call["output"]


@contextlib.contextmanager
def redirecting() -> Generator[Running]:
    """A page that leads to the address at which clouds serve credentials."""

    async def away(request: Request) -> RedirectResponse:
        return RedirectResponse("http://169.254.169.254/latest/meta-data/")

    app = Starlette()
    app.add_route("/away", away)
    with running(app) as fake:
        yield fake


async def until(place: Place, query: str, *values: Any) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 30
    while not (rows := await asyncio.to_thread(place.stack.sql, query, *values)):
        assert time.monotonic() < deadline, query
        await asyncio.sleep(0.1)
    return rows

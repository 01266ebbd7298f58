"""Calls of tools of MCP servers: results, questions, progress, cancellation, and servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
import zlib
from collections.abc import Generator
from typing import Any

import pytest
from starlette.responses import Response

from chat.models import KnownTool, ServerKind
from tests.fakes.mcp_server import PNG, Running, Scripted, Seen, make_server, running, tool
from workers.tools.base import QuestionAskedError, ToolContext, ToolError, ToolResult
from workers.tools.servers import pool as pools
from workers.tools.servers.pool import SessionPool
from workers.tools.servers.refresh import fetch_listing
from workers.tools.servers.stored import StoredServer
from workers.tools.servers.tool import ServerTool


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def fake(seen: Seen) -> Generator[Running]:
    with running(make_server(seen).streamable_http_app()) as server:
        yield server


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.tools.servers.refresh.known_names", lambda slug: {})


def stored(address: str, **more: Any) -> StoredServer:
    given = {
        "id": uuid.uuid4(), "slug": "fake", "title": "Fake", "kind": ServerKind.MCP_HTTP.value, "address": address,
        "auth": "none", "trusted": True, "timeout": 20.0, "owner_id": None,
    }  # fmt: skip
    return StoredServer(**{**given, **more})


def named(server: StoredServer, name: str, **more: Any) -> ServerTool:
    return ServerTool(KnownTool(server="fake", name=name, upstream_name=name, title=name, **more), server)


def context(**more: Any) -> ToolContext:
    given: dict[str, Any] = {
        "user_id": uuid.uuid4(), "conversation_id": uuid.uuid4(), "run_id": uuid.uuid4(), "call_id": uuid.uuid4(),
        "deadline": time.monotonic() + 30,
    }  # fmt: skip
    return ToolContext(**{**given, **more})


@pytest.fixture(params=["newest", "2025-06-18"])
def server(request: pytest.FixtureRequest, fake: Running) -> StoredServer:
    """The same server, spoken to in the newest protocol and in one with sessions."""
    return stored(f"{fake.origin}/mcp", protocol="" if request.param == "newest" else request.param)


async def test_what_a_server_lists(server: StoredServer) -> None:
    listing = await fetch_listing(server)
    tools = {one.name: one for one in listing.tools}
    assert set(tools) == {"add", "everything", "fails", "slow", "asks", "resources_read"}
    assert tools["add"].title == "Add two numbers"
    assert tools["add"].reads
    assert not tools["fails"].reads
    assert set(tools["add"].parameters["properties"]) == {"a", "b"}
    assert "memo://{number}" in tools["resources_read"].description
    assert listing.version == "Fake 1.2"
    assert [one["title"] for one in listing.prompts] == ["Greet somebody"]
    assert list(listing.notes) == []


async def test_a_call(server: StoredServer, seen: Seen) -> None:
    asked = context()
    result = await named(server, "add").run({"a": 2, "b": 3}, asked)
    assert result == ToolResult("5")
    assert seen.calls[-1] == ("add", {"a": 2, "b": 3})
    assert seen.keys[-1] == str(asked.call_id), "the idempotency key"


async def test_every_kind_of_content(server: StoredServer) -> None:
    result = await named(server, "everything").run({}, context())
    assert [picture.content for picture in result.pictures] == [PNG]
    assert [(one.title, one.url) for one in result.sources] == [("A page", "https://example.com/page")]
    assert "some text" in result.text
    assert "[A picture of image/svg+xml that cannot be shown.]" in result.text
    assert "a sound (audio/wav)" in result.text
    assert "[Resource memo://1]\na memo" in result.text
    assert '{"answer":42}' in result.text


async def test_a_tool_that_says_it_failed(server: StoredServer) -> None:
    assert await named(server, "fails").run({}, context()) == ToolResult("no such file", failed=True)


async def test_a_call_of_a_tool_that_is_not_there(server: StoredServer) -> None:
    result: ToolResult | None = None
    try:
        result = await named(server, "nothing").run({}, context())
    except ToolError as error:
        assert "Unknown tool" in error.sentence  # noqa: PT017 -- a result with an error is as good
    assert result is None or result.failed


async def test_resources(server: StoredServer) -> None:
    reader = named(server, "resources/read", recipe={"kind": "resource"})
    assert (await reader.run({"uri": "memo://7"}, context())).text == "[Resource memo://7]\nmemo number 7"
    with pytest.raises(ToolError, match="Give the URI"):
        await reader.run({}, context())


async def test_progress_and_a_timeout_that_cancels_at_the_server(server: StoredServer, seen: Seen) -> None:
    seen.cancelled.clear()
    heard: list[str] = []
    quick = stored(server.address, protocol=server.protocol, timeout=1.0)
    with pytest.raises(ToolError, match="did not answer in time") as raised:
        await named(quick, "slow").run({}, context(report=heard.append))
    assert raised.value.uncertain, "it writes, so it may have happened"
    assert heard == ["one of three"]
    assert await asyncio.to_thread(seen.cancelled.wait, 30)


async def test_stopping_a_call_cancels_it_at_the_server(server: StoredServer, seen: Seen) -> None:
    seen.cancelled.clear()
    seen.started.clear()
    call = asyncio.create_task(named(server, "slow").run({}, context()))
    assert await asyncio.to_thread(seen.started.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(seen.cancelled.wait, 30)


async def test_a_question_is_asked_and_its_answer_given_to_the_same_call(fake: Running, seen: Seen) -> None:
    server = stored(f"{fake.origin}/mcp", protocol="2025-06-18")
    asks, asked = named(server, "asks"), context()
    with pytest.raises(QuestionAskedError) as raised:
        await asks.run({}, asked)
    assert raised.value.question.sentence == "Fake asks: Which colour?"
    assert raised.value.question.schema["properties"]["colour"]["type"] == "string"
    assert seen.answered == []
    again = context(call_id=asked.call_id, answers=[{"colour": "blue", "more": "than asked"}])
    assert (await asks.run({}, again)).text == "painted blue"


async def test_a_session_is_used_again_by_the_same_person_only(fake: Running, seen: Seen) -> None:
    server = stored(f"{fake.origin}/mcp", protocol="2025-06-18")
    me, you = uuid.uuid4(), uuid.uuid4()
    seen.sessions.clear()
    for user in (me, me, me):
        await named(server, "add").run({"a": 1, "b": 1}, context(user_id=user))
    assert len(seen.sessions) == 1
    await named(server, "add").run({"a": 1, "b": 1}, context(user_id=you))
    assert len(seen.sessions) == 2


async def test_sessions_are_bounded_and_end_when_idle(fake: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    small = SessionPool(2, 0.2)
    monkeypatch.setattr(pools, "session_pool", lambda: small)
    monkeypatch.setattr("workers.tools.servers.calling.session_pool", lambda: small)
    server = stored(f"{fake.origin}/mcp")
    for _ in range(4):
        await named(server, "add").run({"a": 1, "b": 1}, context())
        assert sum(len(kept) for kept in small._idle.values()) <= 2
    deadline = time.monotonic() + 30
    while small._idle and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert not small._idle


async def test_one_account_does_not_keep_every_session(fake: Running) -> None:
    """However many servers it has calls at: the others' calls have places."""
    pool, me, you = SessionPool(100, 60), uuid.uuid4(), uuid.uuid4()
    servers = [stored(f"{fake.origin}/mcp") for _ in range(pools.SESSIONS_OF_A_USER + 1)]
    async with contextlib.AsyncExitStack() as held:
        for server in servers[:-1]:
            await held.enter_async_context(pool.borrow(server, me, "", 30))
        with pytest.raises(ToolError, match="Too many of your tool calls are under way"):
            await held.enter_async_context(pool.borrow(servers[-1], me, "", 0.2))
        await held.enter_async_context(pool.borrow(servers[-1], you, "", 30))
    async with pool.borrow(servers[-1], me, "", 30):
        pass
    await pool.close()


async def test_a_server_that_forgot_the_session_is_called_again() -> None:
    """As after its restart: it answers 404 to the session's id, and has done nothing."""
    forgotten: list[int] = []

    def call(params: Any) -> Any:
        forgotten.append(1)
        if len(forgotten) == 2:
            return Response(status_code=404)
        return {"content": [{"type": "text", "text": f"call {len(forgotten)}"}]}

    scripted = Scripted({"tools/call": call})
    with running(scripted.app()) as fake:
        server, user = stored(f"{fake.origin}/mcp", protocol="2025-06-18"), uuid.uuid4()
        does = named(server, "does")
        assert (await does.run({}, context(user_id=user))).text == "call 1"
        assert (await does.run({}, context(user_id=user))).text == "call 3"


async def test_a_server_that_is_gone() -> None:
    with running(Scripted().app()) as fake:
        address = f"{fake.origin}/mcp"
    with pytest.raises(ToolError, match="Fake cannot be reached") as raised:
        await named(stored(address), "add").run({}, context())
    assert not raised.value.uncertain


async def test_a_server_of_a_person_is_not_in_a_private_network(fake: Running) -> None:
    server = stored(f"{fake.origin}/mcp", owner_id=uuid.uuid4())
    with pytest.raises(ToolError, match="at an address that may not be used"):
        await named(server, "add").run({"a": 1, "b": 1}, context())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("<html>", media_type="text/html"), "refused the call: Unexpected content type"),
        (Response("{", media_type="application/json"), "cannot be read"),
        (Response(status_code=500), r"answered with an error \(HTTP 500\)"),
        (Response(status_code=302, headers={"Location": "http://169.254.169.254/"}), "refused the call: Redirect"),
        (
            Response(zlib.compress(b"x" * 10**6), headers={"Content-Type": "text/event-stream; charset=zip"}),
            "refused the call|was lost|cannot be read",
        ),
        ({"content": "no list"}, "sent an answer that cannot be read"),
        ({"content": [{"type": "video", "data": ""}]}, "sent an answer that cannot be read"),
        (Response(b"x" * 17_000_000, media_type="application/json"), "refused the call|sent more|was lost"),
    ],
)
async def test_answers_that_are_none(answer: Any, said: str) -> None:
    scripted = Scripted({"tools/call": answer})
    with running(scripted.app()) as fake:
        with pytest.raises(ToolError, match=said):
            await named(stored(f"{fake.origin}/mcp", protocol="2025-06-18"), "does").run({}, context())
        scripted.answers["tools/call"] = {"content": [{"type": "text", "text": "fine"}]}
        again = await named(stored(f"{fake.origin}/mcp", protocol="2025-06-18"), "does").run({}, context())
        assert again.text == "fine", "one bad answer costs one call"


async def test_a_result_that_its_own_schema_forbids() -> None:
    listed = {"tools": [tool("does", outputSchema={"type": "object", "required": ["a"]})]}
    result = {"content": [{"type": "text", "text": "as it is"}], "structuredContent": {"b": 1}}
    with running(Scripted({"tools/list": listed, "tools/call": result}).app()) as fake:
        server = stored(f"{fake.origin}/mcp", protocol="2025-06-18")
        assert "as it is" in (await named(server, "does").run({}, context())).text


async def test_a_result_of_many_parts_is_cut_before_it_is_checked() -> None:
    """The package takes seconds of CPU for as many, on the worker's loop."""
    parts = [{"type": "text", "text": "b"}] * 200_000
    with running(Scripted({"tools/list": {"tools": [tool("does")]}, "tools/call": {"content": parts}}).app()) as fake:
        found = await named(stored(f"{fake.origin}/mcp", protocol="2025-06-18"), "does").run({}, context())
    assert found.text.endswith("[199501 more parts were left out.]")


async def test_lists_that_never_end() -> None:
    pages = {"count": 0}

    def page(params: Any) -> Any:
        pages["count"] += 1
        return {"tools": [tool(f"tool{pages['count']}")], "nextCursor": str(pages["count"])}

    scripted = Scripted({"tools/list": page})
    with running(scripted.app()) as fake:
        listing = await fetch_listing(stored(f"{fake.origin}/mcp"))
        assert len(listing.tools) == 20
        assert listing.notes == ["Its list of tools has more than 20 pages: the others were not read."]
        scripted.answers["tools/list"] = {"tools": [tool("one")], "nextCursor": "same"}
        listing = await fetch_listing(stored(f"{fake.origin}/mcp"))
        assert listing.notes[0] == "Its list of tools goes in a circle: it was read once."


async def test_entries_that_are_none_cost_no_others() -> None:
    odd = [{"name": "array", "inputSchema": {"type": "array"}}, {"inputSchema": {"type": "object"}}, 7, None]
    for protocol in ("", "2025-06-18"):
        scripted = Scripted({"tools/list": {"tools": [tool("one"), *odd, tool("two")]}})
        with running(scripted.app()) as fake:
            listing = await fetch_listing(stored(f"{fake.origin}/mcp", protocol=protocol))
        assert [one.name for one in listing.tools] == ["one", "two"]
        assert len(listing.notes) == len(odd)
        assert listing.notes[0] == "array was skipped: it is none of the protocol's tools."


async def test_a_person_without_a_connection_reads_where_to_connect(fake: Running) -> None:
    server = stored(f"{fake.origin}/mcp", auth="oauth")
    with pytest.raises(ToolError, match="Connect to Fake first"):
        await named(server, "add").run({"a": 1, "b": 1}, context(user_id=None))

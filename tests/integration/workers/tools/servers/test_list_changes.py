"""A server says in a call that its list of tools changed: it is listed again, however the call ends."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Generator

import pytest
from mcp.server.mcpserver import Context, MCPServer

from tests.fakes.mcp_server import Colour, Running, running
from tests.integration.workers.tools.servers.test_sessions import context, named, stored
from workers.tools.base import QuestionAskedError, ToolError
from workers.tools.servers import calling


def make_growing() -> MCPServer:
    server = MCPServer("Growing", version="1")

    @server.tool()
    async def grow(how: str, ctx: Context) -> str:
        """Says that the list of tools changed, and then ends as it is told."""
        await ctx.session.send_tool_list_changed()  # to clients of the older protocols
        await ctx.notify_tools_changed()  # to those of the newest that listen
        if how == "asks":
            await ctx.elicit("Which colour?", Colour)
        if how == "hangs":
            await asyncio.sleep(60)
        return "grown"

    return server


@pytest.fixture(scope="module")
def growing() -> Generator[Running]:
    with running(make_growing().streamable_http_app()) as server:
        yield server


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The servers that are to be listed again."""
    found: list[uuid.UUID] = []
    monkeypatch.setattr(calling, "refresh_soon", found.append)
    return found


@pytest.mark.parametrize("how", ["ends", "asks", "hangs"])
async def test_with_a_session(growing: Running, listed: list[uuid.UUID], how: str) -> None:
    server = stored(f"{growing.origin}/mcp", protocol="2025-06-18", timeout=2.0)
    call = named(server, "grow").run({"how": how}, context())
    if how == "ends":
        assert (await call).text == "grown"
    else:
        with pytest.raises(QuestionAskedError if how == "asks" else ToolError):
            await call
    assert listed == [server.id]


async def test_in_the_newest_protocol(growing: Running, listed: list[uuid.UUID]) -> None:
    """The notice comes by a stream of its own, perhaps after the call's end: then the next call has it."""
    server = stored(f"{growing.origin}/mcp")
    user = uuid.uuid4()  # each user has sessions of their own, and only a session that is used again has listened
    deadline = time.monotonic() + 20
    while not listed:
        assert (await named(server, "grow").run({"how": "ends"}, context(user_id=user))).text == "grown"
        assert time.monotonic() < deadline, "the server is not listened to"
    assert set(listed) == {server.id}

"""The older SSE transport, and servers in child processes with limits."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import uuid
from pathlib import Path

import psutil
import pytest

from chat.models import ServerKind
from tests.fakes.mcp_server import Seen, make_server, running
from tests.integration.workers.tools.servers.test_sessions import context, named, stored
from tests.integration.workers.tools.servers.test_sessions import no_database as no_database  # likewise
from workers.tools.base import ToolError
from workers.tools.servers.pool import session_pool
from workers.tools.servers.refresh import fetch_listing

CHILD = """
    import os, resource
    from mcp.server.mcpserver import MCPServer
    server = MCPServer("Child")
    @server.tool()
    def about() -> str:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)[0], resource.getrlimit(resource.RLIMIT_AS)[0]
        return f"{os.getpid()} {limits} {os.environ.get('SECRET_KEY')} {os.environ['GIVEN']}"
    @server.tool()
    def dies() -> str:
        os._exit(3)
    server.run()
"""


async def test_the_older_transport() -> None:
    seen = Seen()
    with running(make_server(seen).sse_app()) as fake:
        server = stored(f"{fake.origin}/sse", kind=ServerKind.MCP_SSE.value)
        listing = await fetch_listing(server)
        assert "add" in {one.name for one in listing.tools}
        assert (await named(server, "add").run({"a": 2, "b": 3}, context())).text == "5"
        assert len(seen.calls) == 1
        await session_pool().close()


async def test_a_server_in_a_child_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for children")
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    stdio = {"command": sys.executable, "args": [str(script)], "env": {"GIVEN": "yes"}, "memory_mb": 2048}
    server = stored("", kind=ServerKind.MCP_STDIO.value, stdio=stdio)
    user = uuid.uuid4()
    assert [one.name for one in (await fetch_listing(server)).tools] == ["about", "dies"]
    said = (await named(server, "about").run({}, context(user_id=user))).text
    pid = int(said.split()[0])
    assert said.endswith(f"(256, {2048 * 1024 * 1024}) None yes"), "limits, and only the variables of the settings"
    assert psutil.Process(pid).ppid() == os.getpid()
    with pytest.raises(ToolError, match="was lost") as raised:
        await named(server, "dies").run({}, context(user_id=user))
    assert raised.value.uncertain
    again = (await named(server, "about").run({}, context(user_id=user))).text
    assert int(again.split()[0]) != pid
    await session_pool().close()
    await asyncio.sleep(0)
    assert not psutil.pid_exists(int(again.split()[0]))


async def test_a_command_that_does_not_exist() -> None:
    server = stored("", kind=ServerKind.MCP_STDIO.value, stdio={"command": "/nonexistent/server"})
    with pytest.raises(ToolError, match="Fake"):
        await fetch_listing(server)

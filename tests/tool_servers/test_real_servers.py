"""Tool servers that others wrote: the reference servers over stdio and HTTP, and FastMCP with OAuth."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import KnownTool, ServerAuth, ServerKind, ToolConnection, ToolServer
from chat.runs.questions import usable_question
from tests.fakes.mcp_server import running
from tests.integration.workers.tools.servers.conftest import _close_sessions as _close_sessions  # a fixture
from tests.integration.workers.tools.servers.test_oauth import expire, found, log_in
from tests.integration.workers.tools.servers.test_sessions import context, named, stored
from tests.model_servers.running import ModelServer
from workers.tools.base import QuestionAskedError
from workers.tools.servers import requests
from workers.tools.servers.refresh import fetch_listing
from workers.tools.servers.stored import StoredServer
from workers.tools.servers.tool import ServerTool

TOOLS = Path(__file__).resolve().parents[2] / ".venv-tools"
EVERYTHING = TOOLS / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not EVERYTHING.exists(), reason="Node.js and npm are not installed"
)


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.tools.servers.refresh.known_names", lambda slug: {})


def child(command: str, *args: str) -> StoredServer:
    # Without Node.js on its path: with it, the server that fetches pages would first install a package of npm.
    env = {"PATH": str(TOOLS / "bin")}
    stdio = {"command": str(TOOLS / "bin" / command), "args": list(args), "env": env, "memory_mb": 4096}
    return stored("", kind=ServerKind.MCP_STDIO.value, stdio=stdio)


@pytest.mark.usefixtures("no_database")
async def test_the_server_of_the_time() -> None:
    server = child("mcp-server-time", "--local-timezone=UTC")
    listing = await fetch_listing(server)
    assert {one.name for one in listing.tools} == {"get_current_time", "convert_time"}
    assert list(listing.notes) == []
    result = await named(server, "get_current_time").run({"timezone": "Europe/Berlin"}, context())
    assert not result.failed
    assert "Europe/Berlin" in result.text
    wrong = await named(server, "get_current_time").run({"timezone": "Mars/Base"}, context())
    assert wrong.failed


@pytest.mark.usefixtures("no_database")
async def test_the_server_that_fetches_pages() -> None:
    async def page(request: Request) -> Response:
        return HTMLResponse("<html><body><h1>Hello</h1><p>from a page</p></body></html>")

    app = Starlette()
    app.add_route("/{path:path}", page)
    strict, server = child("mcp-server-fetch"), child("mcp-server-fetch", "--allow-private-ips")
    listing = await fetch_listing(server)
    assert [one.name for one in listing.tools] == ["fetch"]
    assert [one["name"] for one in listing.prompts] == ["fetch"]
    with running(app) as web:
        refused = await named(strict, "fetch").run({"url": f"{web.origin}/"}, context())
        result = await named(server, "fetch").run({"url": f"{web.origin}/"}, context())
    assert refused.failed
    assert "not a public address" in refused.text
    assert "from a page" in result.text


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Generator[ModelServer]:
    server = ModelServer(
        "everything", ["node", str(EVERYTHING), "streamableHttp"], "/mcp", tmp_path_factory.mktemp("everything"), {}
    )
    server.env = {"PORT": str(server.port), "PATH": str(Path(shutil.which("node") or "/usr/bin/node").parent)}
    server.start()
    try:
        yield server
    finally:
        server.stop()


@needs_node
@pytest.mark.usefixtures("no_database")
async def test_the_server_with_everything(everything: ModelServer) -> None:
    server, user = stored(f"{everything.url}/mcp"), uuid.uuid4()
    listing = await fetch_listing(server)
    names = {one.name for one in listing.tools}
    assert {"echo", "get-sum", "resources_read"} <= names
    assert listing.prompts
    heard: list[str] = []
    asked = context(user_id=user, report=heard.append)
    assert "hello" in (await named(server, "echo").run({"message": "hello"}, asked)).text
    assert (await named(server, "get-tiny-image").run({}, asked)).pictures
    with pytest.raises(QuestionAskedError) as asks:
        await named(server, "trigger-elicitation-request").run({}, asked)
    question = usable_question(asks.value.question.sentence, asks.value.question.schema)
    kinds = {field["type"] for field in question["schema"]["properties"].values()}
    assert kinds == {"string", "number", "integer", "boolean", "array"}, "a form can show all that it asks"
    steps = {"duration": 1, "steps": 3}
    result = await named(server, "trigger-long-running-operation").run(steps, asked)
    assert not result.failed
    assert heard


@pytest.fixture
def fast(tmp_path: Path) -> Generator[ModelServer]:
    script = str(Path(__file__).parent / "fastmcp_oauth.py")
    server = ModelServer("fastmcp", [str(TOOLS / "bin" / "python"), script, "{port}"], "/mcp", tmp_path, {})
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.django_db(transaction=True)
async def test_fastmcp_with_oauth(fast: ModelServer) -> None:
    def make() -> ToolConnection:
        server = ToolServer.objects.create(
            slug="protected", title="Protected", kind=ServerKind.MCP_HTTP, address=f"{fast.url}/mcp",
            auth=ServerAuth.OAUTH, trusted=True,
        )  # fmt: skip
        return ToolConnection.objects.create(user=User.objects.create_user("ann@example.com"), server=server)

    connection = await in_db(make)
    await log_in(connection)
    tool = ServerTool(
        KnownTool(server="protected", name="shout", upstream_name="shout", title=""), await found(connection)
    )
    asked = context(user_id=connection.user_id)
    assert (await tool.run({"text": "hello"}, asked)).text == "HELLO"
    await expire(connection)
    assert (await tool.run({"text": "again"}, asked)).text == "AGAIN", "with a refreshed token"
    await in_db(connection.refresh_from_db)
    assert connection.version == 2
    assert (await requests._do("revoke", connection.pk, [])).passed

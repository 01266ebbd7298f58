"""MCP servers for tests: one of the `mcp` package's own, and one that sends whatever a test scripts. Over loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
READS = ToolAnnotations(read_only_hint=True)


class Colour(BaseModel):
    colour: str


@dataclass
class Seen:
    """What the server saw of its clients."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    answered: list[str] = field(default_factory=list)


def make_server(seen: Seen) -> MCPServer:
    """A server with a tool of every kind."""
    server = MCPServer("Fake", version="1.2", instructions="Use it.")

    @server.tool(title="Add two numbers", annotations=READS)
    async def add(a: int, b: int, ctx: Context) -> int:
        """Adds."""
        seen.calls.append(("add", {"a": a, "b": b}))
        meta = ctx.request_context.meta or {}
        seen.keys.append(str(meta.get("idempotencyKey")))
        seen.tokens.append((ctx.headers or {}).get("authorization", ""))
        seen.sessions.add((ctx.headers or {}).get("mcp-session-id", ""))
        return a + b

    @server.tool(annotations=READS)
    async def everything() -> CallToolResult:
        """Returns a part of each kind."""
        return CallToolResult(
            content=[
                TextContent(text="some text"),
                ImageContent(data=base64.b64encode(PNG).decode(), mime_type="image/png"),
                ImageContent(data=base64.b64encode(b"<svg/>").decode(), mime_type="image/svg+xml"),
                AudioContent(data="AAAA", mime_type="audio/wav"),
                EmbeddedResource(resource=TextResourceContents(uri="memo://1", text="a memo", mime_type="text/plain")),
                ResourceLink(uri="https://example.com/page", name="page", title="A page", description="about it"),
            ],
            structured_content={"answer": 42},
        )

    @server.tool()
    async def fails() -> CallToolResult:
        """Says that it failed."""
        return CallToolResult(content=[TextContent(text="no such file")], is_error=True)

    @server.tool()
    async def slow(ctx: Context) -> str:
        """Reports progress, then never ends."""
        seen.started.set()
        await ctx.report_progress(1, 3, "one of three")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.cancelled.set()
            raise
        return "late"

    @server.tool()
    async def asks(ctx: Context) -> str:
        """Asks for a colour."""
        result = await ctx.elicit("Which colour?", Colour)
        if result.action != "accept":
            return f"no colour: {result.action}"
        seen.answered.append(result.data.colour)
        return f"painted {result.data.colour}"

    @server.resource("memo://{number}")
    def memo(number: str) -> str:
        """A memo."""
        return f"memo number {number}"

    @server.prompt(title="Greet somebody")
    def greet(name: str) -> str:
        """Greets."""
        return f"Greet {name}."

    return server


class Running:
    """An ASGI application on a port of this machine, in a thread of its own. `make` gets its origin."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(make(self.origin), log_level="critical", timeout_graceful_shutdown=1, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(20)
        self._socket.close()


@contextlib.contextmanager
def running(app: Any, *, make: Callable[[str], Any] | None = None) -> Generator[Running]:
    """A running application; with `make`, the one that it makes for its origin."""
    server = Running(make or (lambda origin: app))
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Scripted:
    """A server of the older protocol without sessions that answers each method as a test says.

    `answers` has for each method what becomes the result, or a callable that gets the parameters and returns a result,
    a `Response`, or raises. What is not there is an unknown method.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)  # of the requests that want an answer
    capabilities: dict[str, Any] = field(default_factory=lambda: {"tools": {}})

    async def respond(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        message = json.loads(await request.body())
        method, params = message["method"], message.get("params") or {}
        self.requests.append((method, params))
        if "id" not in message:
            return Response(status_code=202)
        self.ids.append(message["id"])
        try:
            result = await self._answer(method, params)
        except LookupError:
            error = {"code": -32601, "message": "Method not found"}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if isinstance(result, Response):
            return result
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def _answer(self, method: str, params: Mapping[str, Any]) -> Any:
        if method == "initialize" and method not in self.answers:
            return {
                "protocolVersion": "2025-06-18",
                "capabilities": self.capabilities,
                "serverInfo": {"name": "scripted", "version": "0"},
            }
        found: Any = self.answers[method]
        if callable(found) and not isinstance(found, Response):
            found = found(params)
            if asyncio.iscoroutine(found):
                found = await found
        return found

    def app(self) -> Starlette:
        app = Starlette()
        app.add_route("/mcp", self.respond, methods=["GET", "POST", "DELETE"])
        return app


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool as servers list it."""
    return {"name": name, "description": f"{name}.", "inputSchema": {"type": "object"}, **more}

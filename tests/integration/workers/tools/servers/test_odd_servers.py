"""MCP servers that repeat secrets, answer twice, or refuse what is no call."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.fakes.mcp_server import Scripted, running
from tests.integration.workers.tools.servers.test_sessions import context, named, stored
from tests.integration.workers.tools.servers.test_sessions import no_database as no_database
from workers.tools.base import ToolError


async def test_secrets_that_a_server_repeats_are_masked() -> None:
    headers = {"Authorization": "Bearer staffs-secret", "X-Short": "1"}
    result = {"content": [{"type": "text", "text": "1: Bearer staffs-secret, or staffs-secret"}]}
    with running(Scripted({"tools/call": result}).app()) as fake:
        does = named(stored(f"{fake.origin}/mcp", protocol="2025-06-18", auth="headers", headers=headers), "does")
        assert (await does.run({}, context())).text == "1: …, or …"


async def test_a_server_that_answers_twice() -> None:
    """The first answer counts."""
    scripted = Scripted()

    def call(params: Any) -> Response:
        replies = [
            {"jsonrpc": "2.0", "id": scripted.ids[-1], "result": {"content": [{"type": "text", "text": said}]}}
            for said in ("first", "second")
        ]
        body = "".join(f"event: message\ndata: {json.dumps(reply)}\n\n" for reply in replies)
        return Response(body, media_type="text/event-stream")

    scripted.answers["tools/call"] = call
    with running(scripted.app()) as fake:
        does, user = named(stored(f"{fake.origin}/mcp", protocol="2025-06-18"), "does"), uuid.uuid4()
        for _ in range(2):
            assert (await does.run({}, context(user_id=user))).text == "first"


async def test_a_refused_stream_of_events_says_nothing_about_a_call() -> None:
    """The server has done what a call asks, and does not answer. It has no stream of events (404), which the client
    asks for beside: that is no reason to make the call again.
    """
    made: list[str] = []

    async def respond(request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=404)
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        if message["method"] == "tools/call":
            made.append(message["params"]["name"])
            await asyncio.sleep(60)
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "s", "version": "0"}}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return JSONResponse(body, headers={"mcp-session-id": "one"})

    async def respond_late(request: Request) -> Response:
        if request.method == "GET":
            while not made:  # while the call is under way
                await asyncio.sleep(0.01)
        return await respond(request)

    app = Starlette()
    app.add_route("/mcp", respond_late, methods=["GET", "POST", "DELETE"])
    with running(app) as fake:
        does = named(stored(f"{fake.origin}/mcp", protocol="2025-06-18", timeout=1.0), "does", effect="writes")
        with pytest.raises(ToolError, match="did not answer in time") as raised:
            await does.run({}, context())
    assert made == ["does"]
    assert raised.value.uncertain


@pytest.mark.parametrize("body", [b"no JSON", b'{"jsonrpc": "2.0", "id": 7}', b"event: message\ndata: {]\n\n"])
async def test_an_answer_that_cannot_be_read_says_nothing_about_the_effect(body: bytes) -> None:
    """The server has got the call: an answer that is none is no refusal. What a library says of it is not shown."""
    scripted = Scripted()
    kind = "text/event-stream" if body.startswith(b"event") else "application/json"
    scripted.answers["tools/call"] = lambda params: Response(body, media_type=kind)
    with running(scripted.app()) as fake:
        server = stored(f"{fake.origin}/mcp", protocol="2025-06-18", timeout=3.0)
        with pytest.raises(ToolError, match="sent an answer that cannot be read") as raised:
            await named(server, "does", effect="writes").run({}, context())
    assert raised.value.uncertain
    assert "validation" not in raised.value.sentence


@pytest.mark.parametrize(
    ("said", "again"),
    [("Bad Request: No valid session ID provided", True), ("Bad Request: the text is too long", False)],
)
async def test_a_server_that_forgot_the_session_and_says_so_with_400(said: str, again: bool) -> None:
    """As the reference server after its restart. Any other 400 is what the server says of the call."""
    made: list[int] = []

    def greet(params: Any) -> Response:
        result = {
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "forgets", "version": "0"},
        }  # fmt: skip
        answer = {"jsonrpc": "2.0", "id": scripted.ids[-1], "result": result}
        return JSONResponse(answer, headers={"Mcp-Session-Id": f"s{len(scripted.requests)}"})

    def call(params: Any) -> Any:
        made.append(1)
        if len(made) == 2:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": said}}
            return JSONResponse(error, status_code=400)
        return {"content": [{"type": "text", "text": f"call {len(made)}"}]}

    scripted = Scripted({"initialize": greet, "tools/call": call})
    with running(scripted.app()) as fake:
        does, user = named(stored(f"{fake.origin}/mcp", protocol="2025-06-18"), "does"), uuid.uuid4()
        assert (await does.run({}, context(user_id=user))).text == "call 1"
        if again:
            assert (await does.run({}, context(user_id=user))).text == "call 3"
        else:
            with pytest.raises(ToolError, match="HTTP 400"):
                await does.run({}, context(user_id=user))
            assert len(made) == 2

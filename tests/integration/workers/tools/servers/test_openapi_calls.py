"""An API with an OpenAPI document over HTTP: listed, called, listed again only when it changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.lib.db import in_db
from chat.models import KnownTool, ServerAuth, ServerKind, ToolServer
from tests.fakes.mcp_server import PNG, Running, running
from tests.integration.workers.tools.servers.test_sessions import context
from workers.tools.base import ToolError
from workers.tools.servers.refresh import refresh
from workers.tools.servers.stored import find_server
from workers.tools.servers.tool import ServerTool

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1"},
    "paths": {
        "/things/{id}": {
            "get": {
                "operationId": "thing",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            }
        },
        "/things": {
            "post": {"operationId": "create", "requestBody": {"content": {"application/json": {"schema": {}}}}}
        },
        "/picture": {"get": {"operationId": "picture"}},
    },
}


class Api:
    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.keys: list[str] = []

    async def document(self, request: Request) -> Response:
        if request.headers.get("If-None-Match") == '"1"':
            self.fetched.append(304)
            return Response(status_code=304)
        self.fetched.append(200)
        return JSONResponse(DOCUMENT, headers={"ETag": '"1"'})

    async def thing(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["id"], "by": request.headers.get("Authorization")})

    async def create(self, request: Request) -> Response:
        self.keys.append(request.headers["Idempotency-Key"])
        return JSONResponse(await request.json(), 201)

    async def picture(self, request: Request) -> Response:
        return Response(PNG, media_type="image/png")

    def app(self) -> Any:
        app = Starlette()
        app.add_route("/openapi.json", self.document)
        app.add_route("/things/{id:path}", self.thing)
        app.add_route("/things", self.create, methods=["POST"])
        app.add_route("/picture", self.picture)
        return app


async def listed(fake: Running, **more: Any) -> ToolServer:
    def make() -> ToolServer:
        row = ToolServer(
            slug="things", title="Things", kind=ServerKind.OPENAPI, address=fake.origin, auth=ServerAuth.HEADERS,
            document_address=f"{fake.origin}/openapi.json", **more,
        )  # fmt: skip
        row.set_headers({"Authorization": "Bearer s3cret-token"})
        row.save()
        return row

    row = await in_db(make)
    await refresh(row.pk)
    await in_db(row.refresh_from_db)
    return row


async def call(row: ToolServer, name: str, **arguments: Any) -> Any:
    server = await in_db(find_server, row.pk)
    assert server is not None
    tool = await in_db(KnownTool.objects.get, server="things", name=name)
    return await ServerTool(tool, server).run(arguments, context())


async def test_an_api_is_listed_and_called() -> None:
    api = Api()
    with running(api.app()) as fake:
        row = await listed(fake)
        assert (row.list_error, row.version, row.etag) == ("", "Things 1", '"1"')
        found = {one.name: one.effect for one in await in_db(lambda: list(KnownTool.objects.filter(server="things")))}
        assert found == {"thing": "reads", "create": "writes", "picture": "reads"}
        assert json.loads((await call(row, "thing", id="a/b")).text) == {"id": "a/b", "by": "…"}
        created = await call(row, "create", body={"name": "x"})
        assert json.loads(created.text) == {"name": "x"}
        assert len(api.keys) == 1
        assert (await call(row, "picture")).pictures[0].content == PNG
        assert (await call(row, "thing", id="..x")).failed is False
        await refresh(row.pk)
        assert api.fetched == [200, 304]
        assert await in_db(KnownTool.objects.filter(gone_at=None).count) == 3
    with pytest.raises(ToolError, match="cannot be reached") as raised:
        await call(row, "create", body={})
    assert not raised.value.uncertain


async def test_a_document_that_is_gone_keeps_the_tools() -> None:
    api = Api()
    with running(api.app()) as fake:
        row = await listed(fake)
    await refresh(row.pk)
    await in_db(row.refresh_from_db)
    assert row.list_error == "The document of Things cannot be used: it cannot be fetched (ConnectError)."
    assert await in_db(KnownTool.objects.filter(server="things", gone_at=None).count) == 3

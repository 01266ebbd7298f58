"""An API that writes notes: a tool with an effect, for tests that count how often it had it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NOTE: Final = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
DOCUMENT: Final = {
    "openapi": "3.1.0",
    "info": {"title": "Notebook", "version": "1"},
    "paths": {
        "/notes": {
            "post": {
                "operationId": "write_note",
                "requestBody": {"required": True, "content": {"application/json": {"schema": NOTE}}},
            }
        }
    },
}


@dataclass
class Notebook:
    """`began` and `happened` have the idempotency keys of the requests and of the notes. A client that has gone does
    not end a request. `before` and `after`: seconds that pass before a note is written, and until the answer.
    """

    before: float = 0.0
    after: float = 0.0
    began: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)

    async def write(self, request: Request) -> Response:
        key = request.headers["Idempotency-Key"]
        body = await request.json()
        self.began.append(key)
        self.under_way.append(key)
        try:
            await asyncio.sleep(self.before)
            self.happened.append(key)
            await asyncio.sleep(self.after)
        finally:
            self.under_way.remove(key)
        return JSONResponse({"written": body["text"]}, 201)

    def app(self) -> Starlette:
        app = Starlette()
        app.add_route("/notes", self.write, methods=["POST"])
        return app


def set_up(origin: str) -> str:
    """Lines for `manage.py shell` that make the API a tool server of staff, and list its tool."""
    document = json.dumps(DOCUMENT)
    return "\n".join(
        [
            "from asgiref.sync import async_to_sync",
            "from chat.models import ToolServer",
            "from workers.tools.servers.refresh import refresh",
            "server, _ = ToolServer.objects.update_or_create(slug='notebook', defaults=dict(",
            f"    title='Notebook', kind='openapi', address={origin!r}, document={document!r}))",
            "async_to_sync(refresh)(server.pk)",
        ]
    )

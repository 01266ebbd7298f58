"""`/v1/…`: the OpenAI-compatible API, and tickets for sockets. Answered before Django: neither cookies nor sessions are
read, and no middleware of pages runs.

Only the header `Authorization: Bearer <token>` says who asks, so there is nothing that a foreign page could make a
browser send by itself. Errors have OpenAI's shape.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final
from urllib.parse import unquote

from django.conf import settings

from accounts.auth.api_tokens import TokenAccess
from accounts.auth.tickets import LIFETIME, issue_token_ticket
from accounts.auth.websocket import SOCKET_PATH
from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.models import TokenScope
from chat.api import completions, responses
from chat.api.answering import submitted
from chat.api.asked import Asked
from chat.api.body import check_size, parse_body
from chat.api.door import (
    Receive,
    Scope,
    Send,
    admit,
    answer_or_refuse,
    begin_trace,
    check_scope,
    header_of,
    private_headers,
    send_json,
)
from chat.api.errors import ApiError, invalid, no_such_model
from chat.api.streaming import stream_answer
from chat.catalog.access import models_of
from chat.realtime import rate_limits

PREFIX: Final = "/v1/"
TICKET_PATH: Final = "/api/v1/ticket"  # opens a WebSocket of the page's protocol
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    begin_trace(scope)
    await answer_or_refuse(send, _answer(scope, receive, send))


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    access, address = await admit(scope)
    path = unquote(scope["path"]).removeprefix(PREFIX).rstrip("/") or "/"
    if path == "models" or path.startswith("models/"):
        _check_method(scope, "GET")
        check_scope(access, TokenScope.MODELS)
        await send_json(send, 200, await in_db(_list_models, access, path.removeprefix("models").lstrip("/")))
    elif path == TICKET_PATH:
        _check_method(scope, "POST")
        check_scope(access, TokenScope.SOCKET)
        await rate_limits.acquire(rate_limit.required_limits((f"tickets:{access.user_id.hex}", settings.RATE_TICKETS)))
        ticket = await in_db(issue_token_ticket, access.user_id, access.session_hash)
        await send_json(send, 200, {"ticket": ticket, "expires_in": LIFETIME, "path": SOCKET_PATH})
    elif path in _READERS:
        _check_method(scope, "POST")
        check_scope(access, TokenScope.CHAT)
        await _ask(scope, receive, send, access, address, path)
    else:
        raise ApiError(404, f"There is no {scope['method']} {scope['path']} here.", code="unknown_url")


def _check_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise ApiError(405, f"Use {method} here.", code="method_not_allowed")


# --- what is asked ----------------------------------------------------------------------------------------------------


def _list_models(access: TokenAccess, name: str) -> dict[str, Any]:
    """The models that the user may ask, or the one of this name. Raises `ApiError`."""
    rows = [
        {"id": model["id"], "object": "model", "created": 0, "owned_by": model.get("endpoint_name") or "antiphon",
         "name": model["label"], "context_length": model.get("window")}
        for model in models_of(access.user_id)
    ]  # fmt: skip
    if not name:
        return {"object": "list", "data": rows}
    for row in rows:
        if row["id"] == name:
            return row
    raise no_such_model(name)


_READERS: Final = {"chat/completions": completions.read_request, "responses": responses.read_request}


async def _ask(scope: Scope, receive: Receive, send: Send, access: TokenAccess, address: str, path: str) -> None:
    """Answers a request. A client that leaves before the end is noticed (`Answering.leave`)."""
    most_bytes = settings.API_MAX_KB * 1024
    raw = await _receive_body(receive, most_bytes)
    # On another thread: a request of many turns takes Python longer than the sockets of this process should wait.
    asked = await asyncio.to_thread(_understand, path, raw, most_bytes)
    key = header_of(scope, b"idempotency-key")
    if key and not _KEY.fullmatch(key):
        raise invalid("'Idempotency-Key' can have at most 200 visible ASCII characters.", "Idempotency-Key")
    leaving = asyncio.create_task(_wait_for_end(receive))
    try:
        async with submitted(access, asked, address, key) as answering:
            working = asyncio.create_task(_work(scope, send, answering, path))
            try:
                await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
                else:
                    await answering.leave()
            finally:
                working.cancel()
                await asyncio.wait({working})
    finally:
        leaving.cancel()


async def _work(scope: Scope, send: Send, answering: Any, path: str) -> None:
    begun, asked = answering.begun, answering.asked
    if path == "responses":
        events = responses.Events(begun, asked)
        if asked.stream:
            await stream_answer(send, answering, events, private_headers())
        else:
            await send_json(send, 200, responses.answer(begun, asked, await answering.read_all()))
    elif asked.stream:
        await stream_answer(send, answering, completions.Chunks(begun, asked), private_headers())
    else:
        await send_json(send, 200, completions.answer(begun, await answering.read_all()))


async def _receive_body(receive: Receive, most_bytes: int) -> bytes:
    """The whole body of the request. Raises `ApiError`."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise invalid("The request ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        check_size(size, most_bytes)
        more = message.get("more_body", False)
    return b"".join(parts)


def _understand(path: str, raw: bytes, most_bytes: int) -> Asked:
    return _READERS[path](parse_body(raw, most_bytes), most_bytes)


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

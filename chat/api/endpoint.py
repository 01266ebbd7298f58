"""`/v1/…`: the OpenAI-compatible API, and tickets for sockets. Answered before Django: neither cookies nor sessions are
read, and no middleware of pages runs.

Only the header `Authorization: Bearer <token>` says who asks, so there is nothing that a foreign page could make a
browser send by itself. Errors have OpenAI's shape.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import structlog
from django.conf import settings

from accounts.auth.api_tokens import RefusedAccess, TokenAccess, find_access
from accounts.auth.counters import api_refusals
from accounts.auth.origins import plain_scheme
from accounts.auth.tickets import LIFETIME, issue_token_ticket
from accounts.auth.websocket import SOCKET_PATH
from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.models import TokenScope
from chat.api import completions, responses
from chat.api.answering import acquire_rate, submitted
from chat.api.errors import ApiError, invalid, no_such_model, of_chat_error, unavailable
from chat.api.streaming import stream_answer
from chat.catalog.access import models_of
from chat.protocol.errors import ChatError
from chat.realtime import rate_limits

PREFIX: Final = "/v1/"
TICKET_PATH: Final = "/api/v1/ticket"  # opens a WebSocket of the page's protocol
BODY_FACTOR: Final = 7  # of the text: JSON may escape each byte, and has names of its own
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_REFUSED: Final = {
    "expired": "This token has expired. Create another one in your settings.",
    "revoked": "This token was revoked. Create another one in your settings.",
    "inactive": "The account of this token is disabled.",
}
PRIVATE: Final = [
    (b"cache-control", b"no-store, no-transform"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]

logger = structlog.get_logger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    try:
        await _answer(scope, receive, send)
    except ApiError as error:
        await send_json(send, error.status, error.body, error.headers)
    except ChatError as error:
        refused = of_chat_error(error)
        await send_json(send, refused.status, refused.body, refused.headers)
    except OUTAGE as error:
        logger.warning("api_request_failed", error=type(error).__name__)
        refused = unavailable()
        await send_json(send, refused.status, refused.body, refused.headers)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    if not settings.API_ENABLED:
        raise ApiError(404, "The API is switched off on this site.", code="api_disabled")
    if settings.SECURE_SSL_REDIRECT and not _is_secure(scope):
        raise ApiError(403, "Use https: a token must not be sent unencrypted.", code="https_required")
    address = rate_limit.network_of((scope.get("client") or ("",))[0])
    path = unquote(scope["path"]).removeprefix(PREFIX).rstrip("/") or "/"
    access = await _authenticate(scope, address)
    await acquire_rate(access)
    if path == "models" or path.startswith("models/"):
        _check_method(scope, "GET")
        _check_scope(access, TokenScope.MODELS)
        await send_json(send, 200, await in_db(_list_models, access, path.removeprefix("models").lstrip("/")))
    elif path == TICKET_PATH:
        _check_method(scope, "POST")
        _check_scope(access, TokenScope.SOCKET)
        await rate_limits.acquire(rate_limit.required_limits((f"tickets:{access.user_id.hex}", settings.RATE_TICKETS)))
        ticket = await in_db(issue_token_ticket, access.user_id, access.session_hash)
        await send_json(send, 200, {"ticket": ticket, "expires_in": LIFETIME, "path": SOCKET_PATH})
    elif path in _READERS:
        _check_method(scope, "POST")
        _check_scope(access, TokenScope.CHAT)
        await _ask(scope, receive, send, access, address, path)
    else:
        raise ApiError(404, f"There is no {scope['method']} {scope['path']} here.", code="unknown_url")


# --- who asks ---------------------------------------------------------------------------------------------------------


async def _authenticate(scope: Scope, address: str) -> TokenAccess:
    """Raises `ApiError`: 401 for a token that gives no access, 429 for a network that tries many."""
    kind, _, text = _header(scope, b"authorization").partition(" ")
    text = text.strip()
    if kind.lower() != "bearer" or not text:
        raise await _refuse(address, ApiError(
            401, "Send your API token in the header 'Authorization: Bearer …'. Log-in cookies are not accepted here.",
            code="missing_api_key",
        ), "missing")  # fmt: skip
    found: TokenAccess | RefusedAccess | None = await in_db(find_access, text)
    if isinstance(found, TokenAccess):
        return found
    if found is None:
        raise await _refuse(address, ApiError(401, "This API token does not exist.", code="invalid_api_key"), "unknown")
    if found.reason == "terms":
        said = "The terms of this site have changed. Log in to its page to read and accept them."
        raise await _refuse(address, ApiError(403, said, code="terms_not_accepted", kind="permission_error"), "terms")
    refused = ApiError(401, _REFUSED[found.reason], code="invalid_api_key")
    raise await _refuse(address, refused, found.reason)


async def _refuse(address: str, refused: ApiError, reason: str) -> ApiError:
    """The refusal, counted by network: one that tries many tokens has to wait."""
    api_refusals[reason] += 1
    logger.warning("api_token_refused", reason=reason, client=address)
    try:
        await rate_limits.acquire(rate_limit.required_limits((f"api-refused:{address}", settings.RATE_API_REFUSED)))
    except ChatError as error:
        return of_chat_error(error)
    return refused


def _check_scope(access: TokenAccess, scope: TokenScope) -> None:
    if not access.may(scope):
        raise ApiError(
            403, f"This token does not have the scope '{scope.value}'. Create one that has it.",
            code="insufficient_scope", kind="permission_error",
        )  # fmt: skip


def _check_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise ApiError(405, f"Use {method} here.", code="method_not_allowed")


def _is_secure(scope: Scope) -> bool:
    proxy: tuple[str, str] | None = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    if proxy:
        name, value = proxy
        return plain_scheme(_header(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())) == value
    return scope.get("scheme") == "https"


def _header(scope: Scope, name: bytes) -> str:
    """The header's value; empty when it is missing or sent several times."""
    values = [value for header, value in scope["headers"] if header.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


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
    asked = _READERS[path](await _read_body(scope, receive, most_bytes), most_bytes)
    key = _header(scope, b"idempotency-key")
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
            await stream_answer(send, answering, events, PRIVATE)
        else:
            await send_json(send, 200, responses.answer(begun, asked, await answering.read_all()))
    elif asked.stream:
        await stream_answer(send, answering, completions.Chunks(begun, asked), PRIVATE)
    else:
        await send_json(send, 200, completions.answer(begun, await answering.read_all()))


async def _read_body(scope: Scope, receive: Receive, most_bytes: int) -> dict[str, Any]:
    """The request's JSON object. Raises `ApiError`."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise invalid("The request ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most_bytes * BODY_FACTOR:
            raise ApiError(413, f"A request can have at most {most_bytes:,} bytes of text.", code="too_large")
        more = message.get("more_body", False)
    try:
        body = msgspec.json.decode(b"".join(parts))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("The body is not JSON.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.", code="invalid_json")
    return body


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, body: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Sends a whole response."""
    content = msgspec.json.encode(body)
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *PRIVATE, *(headers or [])]})
    await send({"type": "http.response.body", "body": content})

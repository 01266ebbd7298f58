"""Who may use the API: what every request of a program passes first, whatever it asks for.

Only the header `Authorization: Bearer <token>` says who asks. Each request has a trace: its id is in the response's
`X-Request-Id`, in errors, in log lines, and in the runs that it begins.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from django.conf import settings

from accounts.auth.api_tokens import RefusedAccess, TokenAccess, find_access
from accounts.auth.counters import api_refusals
from accounts.auth.maintenance import RETRY_AFTER, SAFE, refuses_id
from accounts.auth.origins import plain_scheme
from accounts.features import is_on
from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.models import TokenScope
from accounts.models.site import Feature
from accounts.site import site
from chat.api.answering import acquire_rate
from chat.api.errors import SERVER, ApiError, of_chat_error, unavailable
from chat.protocol.errors import ChatError
from chat.realtime import rate_limits
from chat.telemetry import tracing

ACCESS: Final = "antiphon.api.access"  # in the ASGI scope of a request of the REST API: what `admit` returned
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_REFUSED: Final = {
    "expired": "This token has expired. Create another one in your settings.",
    "revoked": "This token was revoked. Create another one in your settings.",
    "inactive": "The account of this token is disabled.",
}
DISABLED: Final = "The API is switched off on this site."
_ALWAYS: Final = ("/ticket", "/stop")  # also during maintenance: a socket that reads, and ending an answer
PRIVATE: Final = [
    (b"cache-control", b"no-store, no-transform"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]

logger = structlog.get_logger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def begin_trace(scope: Scope) -> None:
    """Gives this request its trace: that of its header `traceparent`, if it has a valid one, else a new one."""
    sent = header_of(scope, b"traceparent")
    traceparent = sent if _TRACEPARENT.fullmatch(sent) else tracing.new_traceparent()
    tracing.current.set(traceparent)
    structlog.contextvars.bind_contextvars(trace=tracing.trace_id(traceparent))


def private_headers() -> list[tuple[bytes, bytes]]:
    """The headers of every response."""
    return [*PRIVATE, (b"x-request-id", tracing.trace_id(tracing.current.get()).encode())]


async def answer_or_refuse(send: Send, answering: Awaitable[None]) -> None:
    """Waits for the answer, and sends the refusal that it raises."""
    try:
        await answering
    except ApiError as error:
        await _refuse_request(send, error)
    except ChatError as error:
        await _refuse_request(send, of_chat_error(error))
    except OUTAGE as error:
        logger.warning("api_request_failed", error=type(error).__name__)
        await _refuse_request(send, unavailable())


async def _refuse_request(send: Send, refused: ApiError) -> None:
    await send_json(send, refused.status, refused.body, refused.headers)


async def admit(scope: Scope) -> tuple[TokenAccess, str]:
    """What the request's token gives access to, and the network that it comes from. Counts the request under the
    limits of the token. Raises `ApiError`.
    """
    if not settings.API_ENABLED:
        raise ApiError(404, DISABLED, code="api_disabled")
    if settings.SECURE_SSL_REDIRECT and not _is_secure(scope):
        raise ApiError(403, "Use https: a token must not be sent unencrypted.", code="https_required")
    address = rate_limit.network_of((scope.get("client") or ("",))[0])
    access = await _authenticate(scope, address)
    writes = scope["method"] not in SAFE and not scope["path"].endswith(_ALWAYS)
    if writes and (said := await in_db(_maintenance_for, access.user_id)):
        raise ApiError(503, said, code="maintenance", kind=SERVER, retry_after=RETRY_AFTER)
    await acquire_rate(access)
    return access, address


def _maintenance_for(user_id: uuid.UUID) -> str:
    """Why this user must not write now; empty if they may."""
    return site().maintenance_message if refuses_id(user_id) else ""


async def _authenticate(scope: Scope, address: str) -> TokenAccess:
    """Raises `ApiError`: 401 for a token that gives no access, 429 for a network that tries many."""
    kind, _, text = header_of(scope, b"authorization").partition(" ")
    text = text.strip()
    if kind.lower() != "bearer" or not text:
        raise await _refuse(address, ApiError(
            401, "Send your API token in the header 'Authorization: Bearer …'. Log-in cookies are not accepted here.",
            code="missing_api_key",
        ), "missing")  # fmt: skip
    found: TokenAccess | RefusedAccess | None = await in_db(_find_access, text)
    if isinstance(found, TokenAccess):
        return found
    if found is None:
        raise await _refuse(address, ApiError(401, "This API token does not exist.", code="invalid_api_key"), "unknown")
    if found.reason == "terms":
        said = "The terms of this site have changed. Log in to its page to read and accept them."
        raise await _refuse(address, ApiError(403, said, code="terms_not_accepted", kind="permission_error"), "terms")
    refused = ApiError(401, _REFUSED[found.reason], code="invalid_api_key")
    raise await _refuse(address, refused, found.reason)


def _find_access(text: str) -> TokenAccess | RefusedAccess | None:
    """Raises `ApiError` while staff have switched the API off."""
    if not is_on(Feature.API):
        raise ApiError(404, DISABLED, code="api_disabled")
    return find_access(text)


async def _refuse(address: str, refused: ApiError, reason: str) -> ApiError:
    """The refusal, counted by network: one that tries many tokens has to wait."""
    api_refusals[reason] += 1
    logger.warning("api_token_refused", reason=reason, client=address)
    try:
        await rate_limits.acquire(rate_limit.required_limits((f"api-refused:{address}", settings.RATE_API_REFUSED)))
    except ChatError as error:
        return of_chat_error(error)
    return refused


def check_scope(access: TokenAccess, scope: TokenScope) -> None:
    if not access.may(scope):
        raise ApiError(
            403, f"This token does not have the scope '{scope.value}'. Create one that has it.",
            code="insufficient_scope", kind="permission_error",
        )  # fmt: skip


def _is_secure(scope: Scope) -> bool:
    proxy: tuple[str, str] | None = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    if proxy:
        name, value = proxy
        return plain_scheme(header_of(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())) == value
    return scope.get("scheme") == "https"


def header_of(scope: Scope, name: bytes) -> str:
    """The header's value; empty when it is missing or sent several times."""
    values = [value for header, value in scope["headers"] if header.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


async def send_json(send: Send, status: int, body: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Sends a whole response."""
    content = msgspec.json.encode(body)
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    every = [*own, *private_headers(), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": content})

"""Authenticates WebSocket upgrades by origin, session cookie and ticket (docs/protocol.md §1).

A program, which sends neither an origin nor a cookie, needs a ticket that was issued for its API token.

All checks use the request's headers and Redis, never the database. A refusal is `websocket.close` before
`websocket.accept`; the server answers HTTP 403.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import redis
import structlog
from django.conf import settings
from django.http import parse_cookie
from django.http.request import validate_host

from accounts.auth.origins import Origin, parse_origin, plain_scheme
from accounts.auth.tickets import FOR_PROGRAMS, TO_RESUME, Claims, consume_ticket, consume_token_ticket
from accounts.auth.upgrade_limit import UpgradeLimit
from accounts.lib.rate_limit import network_of

SOCKET_PATH = "/ws/"
_TICKET = "ticket."
TOO_MANY, UNAVAILABLE = "rate", "unavailable"  # reasons of refusals

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

refused: Counter[str] = Counter()  # reason -> refusals of this process
logger = structlog.get_logger(__name__)


class HandshakeError(Exception):
    """The upgrade is refused. The argument is the reason, one word, for logs and counters."""


class TicketAuthMiddleware:
    """ASGI middleware that passes on only WebSockets with a valid ticket.

    Sets `scope["user_id"]` (UUID), `scope["session_hash"]` (str), `scope["language"]` (of the page that asked for the
    ticket), `scope["resumes"]` (the ticket was handed over by the socket before: the consumer has to ask
    whether the session is valid) and `scope["is_page"]` (no program with an API token). The consumer behind accepts
    with `protocol`, the WebSocket subprotocol that a client must offer.
    """

    def __init__(self, inner: Application, protocol: str) -> None:
        self.inner = inner
        self.protocol = protocol
        self.limit = UpgradeLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            claims = await self._authenticate_within_limit(scope)
        except HandshakeError as refusal:
            reason = str(refusal)
            refused[reason] += 1
            if reason != TOO_MANY or self.limit.shall_log(network_of(_peer(scope)), time.monotonic()):
                origin = _header(scope, b"origin") or ""
                logger.warning("socket_refused", reason=reason, origin=origin[:200], client=_peer(scope))
            await receive()  # websocket.connect is always the first message
            await send({"type": "websocket.close", "code": 4401})
            return
        scope = {
            **scope,
            "user_id": claims.user_id,
            "session_hash": claims.session_hash,
            "language": claims.language,
            "resumes": claims.purpose == TO_RESUME,
            "is_page": claims.purpose != FOR_PROGRAMS,
        }
        await self.inner(scope, receive, send)

    async def _authenticate_within_limit(self, scope: Scope) -> Claims:
        network = network_of(_peer(scope))
        if self.limit.is_over(network, time.monotonic()):
            raise HandshakeError(TOO_MANY)
        try:
            claims = await authenticate(scope, self.protocol)
        except HandshakeError as refusal:
            if str(refusal) == UNAVAILABLE:
                self.limit.forgive(network)
            raise
        self.limit.forgive(network)
        return claims


async def authenticate(scope: Scope, protocol: str) -> Claims:
    """The claims of the ticket that the client sent. Raises `HandshakeError`."""
    if scope.get("path") != SOCKET_PATH:
        raise HandshakeError("path")
    is_program = not _has(scope, b"origin") and not _has(scope, b"cookie")  # browsers send their origin always
    if not is_program:
        _check_origin(scope)
    ticket = _ticket(scope.get("subprotocols") or (), protocol)
    session_key = "" if is_program else _session_key(scope)
    try:
        claims = await (consume_token_ticket(ticket) if is_program else consume_ticket(ticket, session_key))
    except redis.RedisError as error:
        logger.exception("ticket_read_failed", error=str(error))
        raise HandshakeError(UNAVAILABLE) from error
    if claims is None:
        raise HandshakeError("ticket")
    return claims


def _check_origin(scope: Scope) -> None:
    header = _header(scope, b"origin")
    origin = parse_origin(header) if header else None
    if origin is None:
        raise HandshakeError("origin")
    if origin not in {parse_origin(known.lower()) for known in settings.ALLOWED_ORIGINS} and origin != _own(scope):
        raise HandshakeError("origin")


def _own(scope: Scope) -> Origin | None:
    """This server's origin as the browser sees it, if ALLOWED_HOSTS names the Host. A `*` does not count."""
    host = _header(scope, b"host") or ""
    own = parse_origin(f"{'https' if _is_secure(scope) else 'http'}://{host.lower()}")
    hosts = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    return own if own and validate_host(own.host, hosts) else None


def _is_secure(scope: Scope) -> bool:
    proxy: tuple[str, str] | None = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    if proxy:
        name, value = proxy
        header = _header(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())
        return plain_scheme(header or "") == value
    return scope.get("scheme") == "wss"


def _ticket(subprotocols: Iterable[str], protocol: str) -> str:
    offered = list(subprotocols)
    if protocol not in offered:
        raise HandshakeError("protocol")
    tickets = [name for name in offered if name.startswith(_TICKET)]
    if len(tickets) != 1:
        raise HandshakeError("ticket")
    return tickets[0].removeprefix(_TICKET)


def _session_key(scope: Scope) -> str:
    key = parse_cookie(_header(scope, b"cookie") or "").get(settings.SESSION_COOKIE_NAME)
    if not key:
        raise HandshakeError("session")
    return key


def _header(scope: Scope, name: bytes) -> str | None:
    """The header's value. None when it is missing or sent several times, since one may be forged."""
    values = [value for header, value in scope.get("headers", ()) if header.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


def _has(scope: Scope, name: bytes) -> bool:
    return any(header.lower() == name for header, _ in scope.get("headers", ()))


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""

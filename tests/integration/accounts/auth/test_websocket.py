"""The WebSocket's door: no code behind it runs for a foreign page or without a good ticket."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from accounts.auth import websocket
from accounts.auth.revocation import session_hash
from accounts.auth.tickets import issue_ticket
from accounts.auth.websocket import TicketAuthMiddleware
from accounts.lib.redis import sync_redis

pytestmark = pytest.mark.usefixtures("clean_redis")
KEY = "a-session-key"
USER = uuid.UUID("0198c0de-0000-7000-8000-000000000001")
GOOD = object()  # stands for the right value of a header


class Inner:
    """The consumer's place: remembers the scopes that reached it."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": "chat.v1"})


async def knock(
    inner: Inner,
    *,
    origin: Any = GOOD,
    host: Any = b"localhost:8000",
    cookie: Any = GOOD,
    subprotocols: Iterable[str] | None = None,
    path: str = "/ws/",
    more: Iterable[tuple[bytes, bytes]] = (),
) -> bool:
    """Whether the socket is let in."""
    values = {
        b"origin": b"http://localhost:8000" if origin is GOOD else origin,
        b"host": host,
        b"cookie": f"theme=dark; sessionid={KEY}".encode() if cookie is GOOD else cookie,
    }
    headers = [(name, value) for name, value in values.items() if value is not None]
    if subprotocols is None:
        subprotocols = ["chat.v1", f"ticket.{issue_ticket(USER, KEY)}"]
    socket = WebsocketCommunicator(TicketAuthMiddleware(inner, "chat.v1"), path, [*headers, *more], list(subprotocols))
    accepted, protocol = await socket.connect()
    assert accepted == (protocol == "chat.v1")
    await socket.wait()
    return bool(accepted)


async def test_lets_in_and_says_who_it_is() -> None:
    inner = Inner()
    assert await knock(inner)
    (scope,) = inner.scopes
    assert scope["user_id"] == USER
    assert scope["session_hash"] == session_hash(KEY)


async def test_one_ticket_one_socket() -> None:
    inner = Inner()
    offer = ["chat.v1", f"ticket.{issue_ticket(USER, KEY)}"]
    results = await asyncio.gather(*[knock(inner, subprotocols=offer) for _ in range(50)])
    assert results.count(True) == len(inner.scopes) == 1


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"",
        b"null",
        b"*",
        b"http://evil.example",
        b"https://localhost:8000",  # another scheme
        b"http://localhost",  # another port
        b"http://localhost:8001",
        b"http://localhost:8000.evil.example",  # suffix and prefix tricks
        b"http://evil-localhost:8000",
        b"http://localhost:8000@evil.example",
        b"http://evil.example/http://localhost:8000",
        b"http://localhost:8000/",
        b"http://127.0.0.1:8000",  # the same machine, but another origin
        b"file://",
        b"http://localhost:8000 http://evil.example",
        b"http://locaLhost:8000",
        b"http://l\xf6calhost:8000",
        b"\xff\xfe\x00",
        b"https://chat.example.org:444",
        b"https://sub.chat.example.org",
        b"http://chat.example.org",
    ],
)
async def test_foreign_origins(origin: bytes | None, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    inner = Inner()
    before = websocket.refused["origin"]
    assert not await knock(inner, origin=origin)
    assert inner.scopes == []
    assert websocket.refused["origin"] == before + 1


@pytest.mark.parametrize(
    "origin", [b"https://chat.example.org", b"https://chat.example.org:443", b"http://localhost:8000"]
)
async def test_own_origins(origin: bytes, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://Chat.example.org"]
    assert await knock(Inner(), origin=origin)


async def test_a_second_origin_header_vouches_for_nothing() -> None:
    assert not await knock(Inner(), more=[(b"origin", b"http://localhost:8000")])


@pytest.mark.parametrize("allowed_hosts", [["localhost"], ["*"]])
async def test_a_rebound_name_is_not_this_server(allowed_hosts: list[str], settings: Settings) -> None:
    """A page on evil.example whose name now leads here has an Origin equal to its Host."""
    settings.ALLOWED_HOSTS = allowed_hosts
    assert not await knock(Inner(), origin=b"http://evil.example:8000", host=b"evil.example:8000")


@pytest.mark.parametrize(("forwarded", "let_in"), [(b"https", True), (b"http", False), (None, False)])
async def test_behind_a_tls_proxy(forwarded: bytes | None, let_in: bool, settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    more = [(b"x-forwarded-proto", forwarded)] if forwarded else []
    assert await knock(Inner(), origin=b"https://localhost", host=b"localhost", more=more) is let_in


@pytest.mark.parametrize("cookie", [None, b"", b"theme=dark", b"sessionid=", b"sessionid=another-key", b"\xff;;=;\xf6"])
async def test_session_of_the_ticket(cookie: bytes | None) -> None:
    inner = Inner()
    assert not await knock(inner, cookie=cookie)
    assert inner.scopes == []


@pytest.mark.parametrize(
    "subprotocols",
    [
        [],
        ["chat.v1"],
        ["chat.v1", "ticket."],
        ["chat.v1", "ticket." + "x" * 43],
        ["chat.v1", "ticket.é\udcff"],
        ["{ticket}"],
        ["chat.v2", "{ticket}"],
        ["chat.v1", "{ticket}", "{ticket}"],
        ["chat.v1", "{ticket}", "ticket.x"],
        ["chat.v1", "{ticket}="],
    ],
)
async def test_subprotocols(subprotocols: list[str]) -> None:
    inner = Inner()
    ticket = issue_ticket(USER, KEY)
    offer = [name.replace("{ticket}", f"ticket.{ticket}") for name in subprotocols]
    assert not await knock(inner, subprotocols=offer)
    assert inner.scopes == []


async def test_other_paths() -> None:
    assert not await knock(Inner(), path="/ws/other/")


async def test_a_refused_origin_does_not_use_the_ticket_up() -> None:
    offer = ["chat.v1", f"ticket.{issue_ticket(USER, KEY)}"]
    assert not await knock(Inner(), subprotocols=offer, origin=b"http://evil.example")
    assert await knock(Inner(), subprotocols=offer)


async def test_no_redis_no_entry(settings: Settings) -> None:
    offer = ["chat.v1", f"ticket.{issue_ticket(USER, KEY)}"]
    settings.REDIS_URL = "redis://127.0.0.1:9"  # the discard port: nobody answers
    before = websocket.refused["unavailable"]
    assert not await knock(Inner(), subprotocols=offer)
    assert websocket.refused["unavailable"] == before + 1


async def test_refusals_are_logged_without_secrets() -> None:
    ticket = issue_ticket(USER, KEY)
    sync_redis().flushall()
    with capture_logs() as lines:
        await knock(Inner(), subprotocols=["chat.v1", f"ticket.{ticket}"])
        await knock(Inner(), origin=b"http://evil.example")
    assert [line["reason"] for line in lines] == ["ticket", "origin"]
    assert "http://evil.example" in str(lines)
    assert ticket not in str(lines)
    assert KEY not in str(lines)

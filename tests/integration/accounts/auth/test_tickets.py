"""A ticket opens one socket, once, soon, and only for the session that asked for it."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts.auth import revocation, tickets
from accounts.auth.tickets import Claims, consume_ticket, issue_ticket
from accounts.lib.redis import async_redis, sync_redis
from accounts.models import User
from tests.chaos.proxy import FaultProxy
from tests.conftest import PASSWORD
from tests.servers import servers

pytestmark = pytest.mark.usefixtures("clean_redis")
KEY = "a-session-key"


def the_only_key(pattern: bytes = b"ticket:*") -> bytes:
    (key,) = sync_redis().keys(pattern)
    assert isinstance(key, bytes)
    return key


async def test_tells_whose_it_is_once() -> None:
    user_id = uuid.uuid4()
    ticket = issue_ticket(user_id, KEY)
    assert await consume_ticket(ticket, KEY) == Claims(user_id, revocation.session_hash(KEY), "ws", "en")
    assert await consume_ticket(ticket, KEY) is None


async def test_fifty_at_once_and_one_gets_in() -> None:
    ticket = issue_ticket(uuid.uuid4(), KEY)
    results = await asyncio.gather(*[consume_ticket(ticket, KEY) for _ in range(50)])
    assert sum(result is not None for result in results) == 1


async def test_a_lost_reply_does_not_shut_out(tmp_path: Path, settings: Any) -> None:
    """Redis has taken the ticket and the answer is lost: the client library asks again, on a new connection."""
    proxy = FaultProxy(servers.redis, tmp_path / "p.sock")
    proxy.start()
    try:
        settings.REDIS_URL = proxy.url
        user_id = uuid.uuid4()
        ticket = issue_ticket(user_id, KEY)
        key = the_only_key()
        await async_redis().ping()
        proxy.toxic("timeout_downstream")
        handshake = asyncio.create_task(consume_ticket(ticket, KEY))
        while sync_redis().exists(key):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(proxy.heal)
        claims = await handshake
        assert claims is not None
        assert claims.user_id == user_id
        assert await consume_ticket(ticket, KEY) is None, "another handshake gets nothing all the same"
        assert 0 < sync_redis().ttl(the_only_key(b"taken:*")) <= 10
    finally:
        await async_redis().aclose()
        await asyncio.to_thread(proxy.stop)


async def test_expires_in_thirty_seconds() -> None:
    ticket = issue_ticket(uuid.uuid4(), KEY)
    assert 29_000 < sync_redis().pttl(the_only_key()) <= 30_000
    sync_redis().pexpire(the_only_key(), 0)
    assert await consume_ticket(ticket, KEY) is None


async def test_another_session_uses_it_up_for_nothing() -> None:
    ticket = issue_ticket(uuid.uuid4(), KEY)
    assert await consume_ticket(ticket, "another-session-key") is None
    assert await consume_ticket(ticket, KEY) is None


async def test_another_purpose() -> None:
    assert await consume_ticket(issue_ticket(uuid.uuid4(), KEY, "download"), KEY) is None
    assert await consume_ticket(issue_ticket(uuid.uuid4(), KEY), KEY, "download") is None


@pytest.mark.parametrize("garbage", ["", "x" * 43, "x" * 5000, "é" * 43, "a b", "../" * 14 + "a", "\0" * 43])
async def test_garbage_is_no_ticket(garbage: str) -> None:
    assert await consume_ticket(garbage, KEY) is None


@pytest.mark.parametrize("mark", ["session", "user"])
async def test_refused_after_a_revocation(mark: str) -> None:
    user_id = uuid.uuid4()
    ticket = issue_ticket(user_id, KEY)
    name = revocation.session_hash(KEY) if mark == "session" else user_id.hex
    sync_redis().set(f"revoked:{mark}:{name}", 1)
    assert await consume_ticket(ticket, KEY) is None


def test_neither_ticket_nor_session_key_stands_in_redis() -> None:
    ticket = issue_ticket(uuid.uuid4(), KEY)
    stored = the_only_key() + sync_redis().get(the_only_key())  # type: ignore[operator]  # bytes: there is no decoding
    assert ticket.encode() not in stored
    assert KEY.encode() not in stored


def post(client: Client, **extra: Any) -> Any:
    return client.post("/ws/ticket/", **extra)


class TestView:
    def test_gives_a_ticket_to_a_session(self, alice: User, client: Client) -> None:
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        response = post(client)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        body = json.loads(response.content)
        assert body["expires_in"] == 30
        key = client.session.session_key
        assert key is not None
        claims = asyncio.run(consume_ticket(body["ticket"], key))
        assert claims == Claims(alice.pk, revocation.session_hash(key), "ws", "en")

    def test_needs_a_login(self, db: None, client: Client) -> None:
        response = post(client)
        assert response.status_code == 403
        assert json.loads(response.content)["code"] == "forbidden"
        assert sync_redis().keys("ticket:*") == []

    def test_needs_a_post(self, alice: User, client: Client) -> None:
        client.force_login(alice)
        assert client.get("/ws/ticket/").status_code == 405

    def test_needs_the_csrf_token(self, alice: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(alice)
        assert post(client).status_code == 403
        assert sync_redis().keys("ticket:*") == []
        client.cookies["csrftoken"] = "c" * 32
        assert post(client, headers={"X-CSRFToken": "c" * 32}).status_code == 200

    def test_says_when_redis_is_away(self, alice: User, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        client.force_login(alice)
        nowhere = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))  # the discard port: nobody answers
        monkeypatch.setattr(tickets, "sync_redis", lambda: nowhere)
        response = post(client)
        assert response.status_code == 503
        assert json.loads(response.content)["code"] == "unavailable"

"""People's log-ins at servers: from discovery to revocation, and tokens that many calls want at once."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import ConnectionState, KnownTool, ServerAuth, ServerKind, ToolConnection, ToolServer
from tests.fakes.mcp_oauth import Authority, make_protected
from tests.fakes.mcp_server import Running, Scripted, running
from tests.integration.workers.tools.servers.test_sessions import context
from workers.tools.base import ToolError
from workers.tools.servers import requests
from workers.tools.servers.refresh import refresh
from workers.tools.servers.stored import StoredServer, find_server
from workers.tools.servers.tokens import access_token
from workers.tools.servers.tool import ServerTool

pytestmark = pytest.mark.django_db(transaction=True)

CALLBACK = "https://chat.example/connections/callback/"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def fake(authority: Authority) -> Generator[Running]:
    with running(None, make=lambda origin: make_protected(authority, origin)) as server:
        yield server


@pytest.fixture
def connection(fake: Running) -> ToolConnection:
    ann = User.objects.create_user("ann@example.com")
    server = ToolServer.objects.create(
        slug="protected", title="Protected", kind=ServerKind.MCP_HTTP, address=f"{fake.origin}/mcp",
        auth=ServerAuth.OAUTH, trusted=True,
    )  # fmt: skip
    return ToolConnection.objects.create(user=ann, server=server)


async def log_in(connection: ToolConnection) -> None:
    """As a page and a browser do it."""
    begun = await requests._do("login", connection.pk, ["the-state", CALLBACK])
    assert begun.passed, begun.sentence
    asked = parse_qs(urlsplit(begun.url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["state"] == ["the-state"]
    assert asked["resource"] == [(await found(connection)).address]
    async with httpx2.AsyncClient() as browser:
        response = await browser.get(begun.url)
    back = urlsplit(response.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
    given = parse_qs(back.query)
    assert given["state"] == ["the-state"]

    def come_back() -> None:
        connection.refresh_from_db()
        connection.write("pending", {**connection.read("pending"), "code": given["code"][0]})
        connection.save()

    await in_db(come_back)
    finished = await requests._do("finish", connection.pk, [])
    assert finished.sentence == "You are connected to Protected."
    await in_db(connection.refresh_from_db)


async def call(connection: ToolConnection) -> str:
    """The authorization that the server got."""
    return bytes.fromhex(await call_tool(connection, "whoami")).decode()


async def call_tool(connection: ToolConnection, name: str) -> str:
    tool = KnownTool(server="protected", name=name, upstream_name=name, title="")
    asked = context(user_id=connection.user_id)
    return (await ServerTool(tool, await found(connection)).run({}, asked)).text


async def found(connection: ToolConnection) -> StoredServer:
    server = await in_db(find_server, connection.server_id)
    assert server is not None
    return server


async def expire(connection: ToolConnection, seconds: float = -1) -> None:
    expires = timezone.now() + timedelta(seconds=seconds)
    await in_db(ToolConnection.objects.filter(pk=connection.pk).update, expires_at=expires)


async def test_a_person_logs_in_and_out(connection: ToolConnection, authority: Authority) -> None:
    with pytest.raises(ToolError, match="Connect to Protected first"):
        await call(connection)
    await log_in(connection)
    assert connection.state == ConnectionState.CONNECTED
    assert connection.scopes == "use"
    assert len(authority.clients) == 1
    [token] = authority.access
    assert await call(connection) == f"Bearer {token}"
    for stored in (connection.encrypted_tokens, connection.encrypted_client, str(connection.discovered)):
        assert token not in stored
    await refresh(connection.server_id)
    assert await in_db(KnownTool.objects.filter(server="protected", name="whoami").exists), "listed with their log-in"
    await log_in(connection)
    assert len(authority.clients) == 1, "it is registered once"
    ended = await requests._do("revoke", connection.pk, [])
    assert ended.sentence == "You are no longer connected to Protected. Its tokens were revoked there, too."
    assert len(authority.revoked) == 1
    assert not await in_db(ToolConnection.objects.exists)


async def test_a_code_works_once_and_only_for_its_issuer(connection: ToolConnection) -> None:
    await log_in(connection)
    assert (await requests._do("finish", connection.pk, [])).sentence == "This log-in has ended already. Connect again."
    pending = {"code": "x", "issuer": "https://evil.example", "verifier": "v", "callback": CALLBACK}

    def meddle() -> None:
        connection.write("pending", pending)
        connection.save()

    await in_db(meddle)
    with pytest.raises(ToolError, match="answered by another server"):
        await requests._do("finish", connection.pk, [])


async def test_one_refresh_serves_all(connection: ToolConnection, authority: Authority) -> None:
    await log_in(connection)
    authority.slow = 0.5
    server = await found(connection)
    for due in (-1, 60):  # expired, and about to be
        authority.refreshes = 0
        await expire(connection, due)
        tokens = await asyncio.gather(*(access_token(server, connection.user_id) for _ in range(6)))
        assert authority.refreshes == 1
        assert len(set(tokens)) == 1
        assert tokens[0] in authority.access
    assert await call(connection) == f"Bearer {tokens[0]}"


async def test_a_token_that_the_server_has_forgotten_is_refreshed_in_mid_run(
    connection: ToolConnection, authority: Authority
) -> None:
    await log_in(connection)
    await call(connection)
    authority.access.clear()
    assert (await call(connection)).startswith("Bearer access-")
    assert authority.refreshes == 1


async def test_a_log_in_that_was_revoked_in_mid_run(connection: ToolConnection, authority: Authority) -> None:
    await log_in(connection)
    await call(connection)
    authority.forget()
    with pytest.raises(ToolError, match=r"Your log-in at Protected has ended\. Connect again") as raised:
        await call(connection)
    assert not raised.value.uncertain
    await in_db(connection.refresh_from_db)
    assert connection.state == ConnectionState.EXPIRED
    assert connection.encrypted_tokens == ""
    with pytest.raises(ToolError, match="has ended"):
        await call(connection)
    await log_in(connection)
    assert (await call(connection)).startswith("Bearer access-")


async def test_a_server_that_refuses_also_new_tokens(
    connection: ToolConnection, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept_none(token: str) -> None:
        return None

    await log_in(connection)
    monkeypatch.setattr(authority, "load_access_token", accept_none)
    with pytest.raises(ToolError, match=r"Protected has ended your log-in\. Connect again"):
        await call(connection)
    assert authority.refreshes == 1
    await in_db(connection.refresh_from_db)
    assert (connection.state, connection.encrypted_tokens) == (ConnectionState.EXPIRED, "")


async def test_a_server_that_repeats_a_token(connection: ToolConnection) -> None:
    await log_in(connection)
    assert await call_tool(connection, "repeat") == "You sent Bearer …."


async def test_what_is_forbidden_to_a_person_does_not_end_their_log_in(
    connection: ToolConnection, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_scope(token: str) -> Any:
        known = authority.access.get(token)
        return known and known.model_copy(update={"scopes": []})

    await log_in(connection)
    monkeypatch.setattr(authority, "load_access_token", without_scope)
    with pytest.raises(ToolError, match="Protected does not allow this with your log-in"):
        await call(connection)
    await in_db(connection.refresh_from_db)
    assert connection.state == ConnectionState.CONNECTED


async def test_an_authorization_server_that_is_away(connection: ToolConnection, authority: Authority) -> None:
    await log_in(connection)
    authority.broken = True
    await expire(connection, 60)
    assert (await call(connection)).startswith("Bearer access-"), "the old token still goes"
    await expire(connection)
    with pytest.raises(ToolError, match="does not work at the moment"):
        await call(connection)
    authority.broken = False
    assert (await call(connection)).startswith("Bearer access-"), "nothing was lost"


async def test_a_server_without_a_log_in(connection: ToolConnection) -> None:
    with running(Scripted().app()) as plain:
        await in_db(ToolServer.objects.update, address=f"{plain.origin}/mcp")
        with pytest.raises(ToolError, match="names no authorization server"):
            await requests._do("login", connection.pk, ["s", CALLBACK])


async def test_what_staff_entered_is_used(connection: ToolConnection, authority: Authority) -> None:
    def enter() -> None:
        connection.server.client_id = "staffs"
        connection.server.set_client_secret("their secret")
        connection.server.scopes = "use"
        connection.server.save()

    await in_db(enter)
    begun: Any = await requests._do("login", connection.pk, ["s", CALLBACK])
    assert parse_qs(urlsplit(begun.url).query)["client_id"] == ["staffs"]
    assert authority.clients == {}
    await in_db(connection.refresh_from_db)
    assert connection.read("client")["client_secret"] == "their secret"
    assert "their secret" not in connection.encrypted_client

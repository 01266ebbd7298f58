"""An authorization server that takes long to renew a log-in: nobody logs in twice, and nobody waits without end."""

from __future__ import annotations

import asyncio
import time

import pytest

from accounts.lib.db import in_db
from chat.models import ConnectionState, ToolConnection
from tests.fakes.mcp_oauth import Authority
from tests.integration.workers.tools.servers.test_oauth import authority as authority  # fixtures
from tests.integration.workers.tools.servers.test_oauth import connection as connection
from tests.integration.workers.tools.servers.test_oauth import expire, found, log_in
from tests.integration.workers.tools.servers.test_oauth import fake as fake
from tests.integration.workers.tools.servers.test_refreshing import Start, line_of, ready, say, until
from tests.integration.workers.tools.servers.test_refreshing import start as start
from workers.tools.base import ToolError
from workers.tools.servers import tokens
from workers.tools.servers.tokens import access_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


async def test_two_processes_wait_for_longer_than_a_transaction_may_be_idle(
    connection: ToolConnection, authority: Authority, start: Start
) -> None:
    await log_in(connection)
    processes = [start(connection, idle_seconds=3) for _ in range(2)]
    await ready(*processes)
    await expire(connection)
    authority.slow = 5.0
    for process in processes:
        say(process)
    found = [await line_of(process) for process in processes]
    assert (authority.refreshes, authority.asked) == (1, 2), "one log-in, one refresh"
    assert found[0] == found[1]
    assert found[0] in authority.access


async def test_one_that_never_answers(
    connection: ToolConnection, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_SECONDS", 0.5)
    await log_in(connection)
    server = await found(connection)
    await expire(connection)
    authority.slow = 3_600.0
    began = time.monotonic()
    ends = await asyncio.gather(*(access_token(server, connection.user_id) for _ in range(3)), return_exceptions=True)
    assert time.monotonic() - began < 20
    assert [str(end) for end in ends] == ["The log-in of Protected did not answer in time."] * 3
    await in_db(connection.refresh_from_db)
    assert connection.state == ConnectionState.CONNECTED
    authority.slow = 0.0
    assert await access_token(server, connection.user_id) in authority.access, "without a new log-in"


async def test_a_call_does_not_wait_while_its_token_is_still_good(
    connection: ToolConnection, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "EARLY_SECONDS", 0.2)
    await log_in(connection)
    server = await found(connection)
    [old] = authority.access
    await expire(connection, 60)
    authority.slow = 2.0
    assert await access_token(server, connection.user_id) == old
    assert authority.refreshes == 0
    await until(lambda: authority.refreshes == 1)
    while (new := await access_token(server, connection.user_id)) == old:
        await asyncio.sleep(0.05)
    assert new in authority.access
    assert authority.refreshes == 1


async def test_a_log_in_can_be_deleted_and_used_while_it_is_renewed(
    connection: ToolConnection, authority: Authority
) -> None:
    await log_in(connection)
    server = await found(connection)
    await expire(connection)
    authority.slow = 4.0
    waits = asyncio.create_task(access_token(server, connection.user_id))
    await until(lambda: authority.asked == 2)
    began = time.monotonic()
    await in_db(ToolConnection.objects.filter(pk=connection.pk).update, last_used_at=None)
    await in_db(ToolConnection.objects.filter(pk=connection.pk).delete)
    assert time.monotonic() - began < 3.0, "nobody waits for the lock of the row"
    with pytest.raises(ToolError, match="Connect to Protected first"):
        await waits


async def test_whoever_logs_in_meanwhile_keeps_the_new_log_in(connection: ToolConnection, authority: Authority) -> None:
    await log_in(connection)
    server = await found(connection)
    await expire(connection)
    authority.slow = 4.0
    waits = asyncio.create_task(access_token(server, connection.user_id))
    await until(lambda: authority.asked == 2)
    authority.slow = 0.0
    await log_in(connection)
    kept = connection.read("tokens")["access_token"]
    assert await waits == kept
    assert await access_token(server, connection.user_id) == kept

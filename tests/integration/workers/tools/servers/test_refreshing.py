"""Tokens that several worker processes want at once, and a process that is killed while it refreshes one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Final
from urllib.parse import urlencode, urlsplit

import pytest
from django.db import connection as database

from accounts.lib.db import in_db
from chat.models import ConnectionState, ToolConnection
from tests.fakes.mcp_oauth import Authority
from tests.integration.workers.tools.servers.test_oauth import authority as authority  # fixtures
from tests.integration.workers.tools.servers.test_oauth import connection as connection
from tests.integration.workers.tools.servers.test_oauth import expire, found, log_in
from tests.integration.workers.tools.servers.test_oauth import fake as fake
from workers.tools.base import ToolError
from workers.tools.servers.tokens import access_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

PROCESS: Final = """
import asyncio, sys, uuid
import django
django.setup()
from accounts.lib.db import in_db
from workers.tools.base import ToolError
from workers.tools.servers.pool import load_client
from workers.tools.servers.stored import find_server
from workers.tools.servers.tokens import access_token

async def main():
    await load_client("oauth")
    server = await in_db(find_server, uuid.UUID(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(await access_token(server, uuid.UUID(sys.argv[2])), flush=True)
    except ToolError as error:
        print(error.sentence, flush=True)

asyncio.run(main())
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Generator[Start]:
    """Starts a process that asks for the token of a connection when it gets a line, and prints it. `idle_seconds`: how
    long its transactions may be idle, instead of the 10 s of production.
    """
    running: list[subprocess.Popen[str]] = []

    def begin(row: ToolConnection, *, idle_seconds: int = 10) -> subprocess.Popen[str]:
        here = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database.settings_dict['NAME']}").geturl()
        here += "&" + urlencode({"options": f"-c idle_in_transaction_session_timeout={idle_seconds}s"})
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(row.server_id), str(row.user_id)],
            env={**os.environ, "DATABASE_URL": here, "DJANGO_SETTINGS_MODULE": "config.settings"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str], line: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


async def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def ready(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert await line_of(process) == "ready"


async def test_of_two_processes_one_refreshes(connection: ToolConnection, authority: Authority, start: Start) -> None:
    await log_in(connection)
    processes = [start(connection) for _ in range(2)]
    await ready(*processes)
    await expire(connection)
    authority.slow = 1.0
    for process in processes:
        say(process)
    tokens = [await line_of(process) for process in processes]
    assert authority.refreshes == 1
    assert tokens[0] == tokens[1]
    assert tokens[0] in authority.access


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_process_that_is_killed_while_it_refreshes(
    connection: ToolConnection, authority: Authority, start: Start, replaced: bool
) -> None:
    """Before the server replaced the refresh token the next process refreshes; after it, unless the server takes the
    old one once more, the person reads that they have to connect again.
    """
    await log_in(connection)
    process = start(connection)
    await ready(process)
    await expire(connection)
    authority.slow, authority.slow_after = (0.0, 30.0) if replaced else (30.0, 0.0)
    say(process)
    await until(lambda: authority.refreshes == 1 if replaced else authority.asked == 2)
    process.kill()
    process.wait()
    authority.slow = authority.slow_after = 0.0
    server = await found(connection)
    if not replaced:
        assert await access_token(server, connection.user_id) in authority.access
        return
    with pytest.raises(ToolError, match=r"has ended\. Connect again"):
        await access_token(server, connection.user_id)
    await in_db(connection.refresh_from_db)
    assert (connection.state, connection.encrypted_tokens) == (ConnectionState.EXPIRED, "")
    await log_in(connection)
    assert await access_token(server, connection.user_id) in authority.access


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)

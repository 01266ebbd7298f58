"""Exports that take longer than a request may, read slowly, as a person on a thin line does; in `make chaos` only.

Directly, and through nginx with the configuration of docs/operations.md where it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import aiohttp
import pytest

from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import ROOT, Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.long]

SYSTEM = {"web": 1, "workers": 1, "env": {}}
ROWS = 300_000
SECONDS = 80  # that reading takes; a request may take 60
PATH = "/admin/accounts/auditentry/export/"


def documented(listener: int, upstream: int, folder: Path) -> str:
    """The configuration of docs/operations.md, with plain HTTP and these ports."""
    text = (ROOT / "docs/operations.md").read_text()
    [found] = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    found = (
        found.replace("/var/log/nginx", str(folder))
        .replace("listen 443 ssl;", f"listen 127.0.0.1:{listener};")
        .replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; pid {folder}/pid; error_log {folder}/errors; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{found}}}\n"
    )


@pytest.fixture(params=["direct", "nginx"])
def address(
    request: pytest.FixtureRequest, system: tuple[Stack, FakeOpenAI], tmp_path: Path
) -> Generator[str, None, None]:
    stack, _ = system
    if request.param == "direct":
        yield stack.url
        return
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "conf").write_text(documented(port, int(stack.url.rpartition(":")[2]), tmp_path))
    process = subprocess.Popen(
        [program, "-p", str(tmp_path), "-e", str(tmp_path / "errors"), "-c", str(tmp_path / "conf")]
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def memory(stack: Stack) -> float:
    """Of the web process, in MB."""
    popen = stack.webs[0].popen
    assert popen is not None
    [line] = [one for one in Path(f"/proc/{popen.pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def fill(stack: Stack) -> None:
    stack.sql(
        "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE email = %s RETURNING 1",
        "alice@example.org",
    )
    [row] = stack.sql("SELECT count(*) AS n FROM accounts_auditentry WHERE verb = 'measured'")
    if row["n"] == 0:
        stack.sql(
            "INSERT INTO accounts_auditentry (id, at, actor_email, verb, object_type, object_id, details)"
            " SELECT gen_random_uuid(), now(), 'a@example.org', 'measured', 'accounts.user', n::text,"
            " repeat('detail ', 12) FROM generate_series(1, %s) AS n RETURNING 1",
            ROWS,
        )


@pytest.mark.timeout(400)
async def test_a_slow_reader_gets_all_rows(system: tuple[Stack, FakeOpenAI], address: str) -> None:
    stack, _ = system
    await asyncio.to_thread(fill, stack)
    async with session(stack.url, "alice@example.org", fresh=True) as alice:
        before, most, began = memory(stack), 0.0, time.monotonic()
        size, rows, end = 0, 0, b""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=90)
        async with alice.http.get(f"{address}{PATH}?verb=measured", timeout=timeout) as answer:
            assert answer.status == 200, await answer.text()
            whole = ROWS * 170  # about
            while piece := await answer.content.read(64 * 1024):
                size, rows, end = size + len(piece), rows + piece.count(b"\n"), (end + piece)[-200:]
                most = max(most, memory(stack))
                ahead = size / whole * SECONDS - (time.monotonic() - began)
                await asyncio.sleep(max(0.0, ahead))
        took = time.monotonic() - began
        measured(f"export of {rows - 2} rows, {size / 1e6:.0f} MB, web process +{most - before:.0f} MB", round(took, 1))
        assert took > 60
        assert end.endswith(f"# rows: {ROWS}\r\n".encode())
        assert rows == ROWS + 2  # with the names and the last line
        assert most - before < 60


@pytest.mark.timeout(200)
async def test_one_that_fails_breaks_the_connection(system: tuple[Stack, FakeOpenAI], address: str) -> None:
    stack, _ = system
    await asyncio.to_thread(fill, stack)
    async with (
        session(stack.url, "alice@example.org", fresh=True) as alice,
        alice.http.get(f"{address}{PATH}?verb=measured") as answer,
    ):
        assert answer.status == 200
        await answer.content.read(200_000)
        stack.sql("ALTER TABLE accounts_auditentry RENAME COLUMN verb TO verb_gone")
        try:
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionResetError)):
                await read_all(answer)
        finally:
            stack.sql("ALTER TABLE accounts_auditentry RENAME COLUMN verb_gone TO verb")


async def read_all(answer: aiohttp.ClientResponse) -> None:
    while await answer.content.read(1_000_000):
        pass

"""Downloads that take longer than a request may, and that fail half-way, through the real server."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.stack import ROOT

SERVER = """
import asyncio, socket, sys, django
django.setup()
from config.web import deadlines, server
server.REQUEST_SECONDS = 1
deadlines.READ_SECONDS = 4

async def send_much(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(1200):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"# rows: 1200\\n"})

async def application(scope, receive, send):
    if scope["path"] == "/silent":
        await asyncio.sleep(60)
    if scope["path"] == "/large":
        return await send_much(send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(12):
        await send({"type": "http.response.body", "body": b"row %d\\n" % number, "more_body": True})
        if scope["path"] == "/broken" and number == 3:
            raise RuntimeError("half-way")
        await asyncio.sleep(0.5)
    await send({"type": "http.response.body", "body": b"# rows: 12\\n"})

server.WebServer(application, socket.socket(fileno=int(sys.argv[1])), drain_seconds=0).run()
"""


PROCESS: list[int] = []
MB = 1024 * 1024


def memory() -> int:
    """Of the server, in bytes."""
    [line] = [one for one in Path(f"/proc/{PROCESS[-1]}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def port() -> Generator[int, None, None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(number)],
            cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}, pass_fds=[number],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        PROCESS.append(process.pid)
        yield listener.getsockname()[1]
        process.kill()
        process.wait()


def get(port: int, path: str) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_download_may_take_longer_than_a_request(port: int) -> None:
    began = time.monotonic()
    status, body = get(port, "/long")
    assert (status, body.count(b"row ")) == (200, 12)
    assert body.endswith(b"# rows: 12\n")
    assert time.monotonic() - began > 5


def test_a_download_that_fails_is_not_taken_for_a_whole_one(port: int) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        get(port, "/broken")


def test_a_request_without_an_answer_is_ended(port: int) -> None:
    """After the failure of the test before: the server still looks after its other requests."""
    assert get(port, "/silent")[0] == 503


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_download_that_is_read_slowly_is_not_in_memory(port: int) -> None:
    """75 MB, of which a reader takes 50 KB a second; it is whole in the end, once somebody reads on."""
    get(port, "/long")
    before = memory()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/large")
        answer = connection.getresponse()
        taken = 0
        for _ in range(6):
            taken += len(answer.read(50_000))
            time.sleep(0.5)
        assert memory() - before < 20 * MB
        whole = taken
        last = b""
        while piece := answer.read(1_000_000):
            whole, last = whole + len(piece), piece
        assert whole == 1200 * 65536 + len(b"# rows: 1200\n")
        assert last.endswith(b"# rows: 1200\n")


def test_who_takes_nothing_is_disconnected(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(8)  # more than READ_SECONDS
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := reader.recv(1_000_000):
                received += len(piece)
                assert received < 40 * MB, "the rest is still sent"
        assert received < 40 * MB

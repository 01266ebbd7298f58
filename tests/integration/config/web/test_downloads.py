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

import pytest

from tests.stack import ROOT

SERVER = """
import asyncio, socket, sys, django
django.setup()
from config.web import server
server.REQUEST_SECONDS = 1

async def application(scope, receive, send):
    if scope["path"] == "/silent":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(12):
        await send({"type": "http.response.body", "body": b"row %d\\n" % number, "more_body": True})
        if scope["path"] == "/broken" and number == 3:
            raise RuntimeError("half-way")
        await asyncio.sleep(0.5)
    await send({"type": "http.response.body", "body": b"# rows: 12\\n"})

server.WebServer(application, socket.socket(fileno=int(sys.argv[1])), drain_seconds=0).run()
"""


@pytest.fixture(scope="module")
def port() -> Generator[int, None, None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(number)],
            cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}, pass_fds=[number],
        )  # fmt: skip
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

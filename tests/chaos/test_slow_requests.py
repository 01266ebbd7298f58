"""Requests that arrive a byte at a time, in numbers, while others use the site; and requests that never end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import psutil
import pytest

from config.web.deadlines import BODY_SECONDS, HEAD_SECONDS
from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Stack

SYSTEM = {"web": 1, "workers": 1}
EACH = 60  # connections of each kind
GRACE = 5.0  # of a busy machine

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(180)]

POST = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = b"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
# What is sent at once, what follows byte by byte for ever, and after how many seconds the connection has ended.
KINDS: dict[str, tuple[bytes, bytes, float]] = {
    "nothing": (b"", b"", HEAD_SECONDS),
    "request line": (b"GET /", b"a", HEAD_SECONDS),
    "header name": (b"GET / HTTP/1.1\r\n", b"a", HEAD_SECONDS),
    "header value": (b"GET / HTTP/1.1\r\nX-Header: ", b"a", HEAD_SECONDS),
    "many headers": (b"GET / HTTP/1.1\r\n", b"A:b\r\n", HEAD_SECONDS),
    "upgrade": (UPGRADE + b"X-Header: ", b"a", HEAD_SECONDS),
    "body": (POST + b"Content-Length: 9000000\r\n\r\n", b"a", BODY_SECONDS),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", BODY_SECONDS),
    "chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0", BODY_SECONDS),
    "second request": (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"a", HEAD_SECONDS),
}


async def held(port: int, first: bytes, trickle: bytes) -> float:
    """Sends `first`, and a byte of `trickle` every half second; the seconds until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()

    async def send() -> None:
        writer.write(first)
        at = 0
        while trickle:
            await asyncio.sleep(0.5)
            writer.write(trickle[at % len(trickle) : at % len(trickle) + 1])
            at += 1

    async def read() -> None:
        while await reader.read(65536):
            pass

    sending = asyncio.ensure_future(send())
    try:
        await asyncio.wait([asyncio.ensure_future(read())], timeout=150)
    finally:
        sending.cancel()
        writer.transport.abort()
    return time.monotonic() - began


async def slowest(ask: Callable[[], Awaitable[object]], until: asyncio.Event) -> float:
    """The longest that a request took of those made until then."""
    longest = 0.0
    while not until.is_set():
        began = time.monotonic()
        await ask()
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(0.25)
    return longest


async def test_slow_requests_end_and_hold_up_nobody(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    port = stack.webs[0].port
    async with session(stack.url) as alice:
        client = await alice.connect()

        async def use() -> None:
            accepted = await client.say("Hello [[tokens=3 rate=100]]")
            assert (await client.ended(accepted["run_id"]))["ended"] == "run.done"
            async with alice.http.get(f"{stack.url}/presets/") as page:
                assert page.status == 200

        over = asyncio.Event()
        using = asyncio.ensure_future(slowest(use, over))
        ended = await asyncio.gather(
            *(held(port, first, trickle) for first, trickle, _ in KINDS.values() for _ in range(EACH))
        )
        over.set()
        longest = await using
        await client.close()
    for at, (kind, (_, _, seconds)) in enumerate(KINDS.items()):
        took = max(ended[at * EACH : (at + 1) * EACH])
        assert took < seconds + GRACE, f"{kind}: held for {took:.0f} s"
    measured(f"{len(ended)} slow requests, each ended after at most", round(max(ended), 1))
    measured("... while an answer and a page took at most", round(longest, 1))
    assert longest < 10
    assert "Traceback" not in stack.webs[0].output()


async def test_a_huge_body_ends_before_it_has_arrived(system: tuple[Stack, FakeOpenAI]) -> None:
    """Of a length that is said, and in chunks without one: neither is stored, and the process does not grow."""
    stack, _ = system
    web = stack.webs[0]
    before = memory(web.pid)
    piece = b"x" * 65536
    chunk = b"10000\r\n" + piece + b"\r\n"
    bodies = {
        POST + b"Content-Length: 4000000000\r\n\r\n": piece,
        POST + b"Transfer-Encoding: chunked\r\n\r\n": chunk,
    }
    for head, part in bodies.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(head)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 400_000_000 and not reader.at_eof():
                writer.write(part)
                await writer.drain()
                sent += len(part)
        assert sent < 40_000_000, head
        with contextlib.suppress(ConnectionError):
            assert (await reader.readline()).split()[1:2] in ([b"413"], [])  # lost where the rest was under way
        writer.transport.abort()
    assert memory(web.pid) - before < 60_000_000
    assert web.status() == 200


def memory(pid: int) -> int:
    """Of a process, in bytes."""
    return int(psutil.Process(pid).memory_info().rss)

"""The web process: how it ends, what it refuses, what it writes about requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator

import aiohttp
import psycopg
import pytest

from tests.client import Client, session
from tests.stack import Stack, Web, run_stack

Live = Callable[..., Stack]


@pytest.fixture
def web(stack: Stack) -> Iterator[Web]:
    """A process of the shared stack that writes no traceback during the test."""
    web = stack.webs[0]
    web.said_before = len(web.output())  # what a test awaits is what it writes from now on
    yield web
    assert "Traceback" not in web.output()[web.said_before :]


@pytest.fixture(scope="module")
def limited() -> Iterator[Stack]:
    """A stack in which a connection may send few frames."""
    with run_stack(workers=0, env={"RATE_FRAMES": "50/s", "RATE_REFUSALS": "20/10s"}) as running:
        yield running


async def test_on_sigterm_every_socket_is_told_to_come_back(live: Live) -> None:
    """Also with one that connected a moment ago, where Daphne's own clean-up fails and all see 1006."""
    stack = live(workers=0, env={"DRAIN_SECONDS": "1.5"})
    async with session(stack.url) as browser:
        clients: list[Client] = [await browser.connect() for _ in range(8)]
        clients.append(await browser.connect())  # within the last second
        began = time.monotonic()
        stack.webs[0].kill(signal.SIGTERM)
        codes = [await client.closed() for client in clients]
        assert codes == [4000] * 9
        assert time.monotonic() - began < 4
        assert await asyncio.to_thread(stack.webs[0].wait) == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await browser.http.get(stack.url + "/livez")
    log = stack.webs[0].output()
    assert "Traceback" not in log
    assert '"event": "server_stopped"' in log


async def test_requests_under_way_are_answered_before_the_end(live: Live) -> None:
    stack = live(workers=0, env={"DRAIN_SECONDS": "0"})
    web = stack.webs[0]
    async with session(stack.url) as browser:
        with psycopg.connect(stack.env["DATABASE_URL"]) as lock:
            lock.execute("LOCK TABLE accounts_session IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(browser.ticket())
            while not stack.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)  # until the request waits for the table
            web.kill(signal.SIGTERM)
            await asyncio.to_thread(web.await_output, '"event": "drain_started"', 5)
            assert not asking.done()
        assert await asking
    assert await asyncio.to_thread(web.wait) == 0
    assert '"cut": 0' in web.output()


async def test_a_socket_that_could_not_be_greeted_in_time_is_told_so(stack: Stack) -> None:
    """Its connection is not cut, and the handshake lasts as long as that of one among many on a busy machine."""
    async with session(stack.url) as browser:
        with psycopg.connect(stack.env["DATABASE_URL"]) as lock:
            lock.execute("LOCK TABLE chat_preset IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(ConnectionError, match="closed 4000"):
                await browser.connect()


async def test_sockets_elsewhere_and_huge_frames_are_refused(web: Web) -> None:
    async with session(web.url) as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.http.ws_connect(web.url.replace("http", "ws", 1) + "/elsewhere/", origin=web.url)
        assert refused.value.status == 403

        client = await browser.connect()
        await client.ws.send_str('{"type": "ping", "ref": "' + "x" * 400_000 + '"}')  # the consumer's word
        assert (await client.next("error"))["code"] == "too_large"
        assert (await client.ask("ping"))["type"] == "pong"
        with contextlib.suppress(ConnectionError):  # over the hard limit: cut while it is still being sent
            await client.ws.send_str("x" * 2_000_000)
        assert await client.closed() not in (None, 1000)
    assert web.status() == 200


@pytest.mark.parametrize("kind", ["ping", "pong", "fragment"])
async def test_frames_without_a_message_count_under_the_limit_of_frames(limited: Stack, kind: str) -> None:
    async with session(limited.url) as browser:
        flooding, calm = await browser.connect(), await browser.connect()
        for _ in range(20):
            await calm.ws.ping()  # within the limit, and answered
        assert (await calm.ask("ping"))["type"] == "pong"
        writer = flooding.ws._writer
        assert writer.transport is not None
        masked = {"ping": b"\x89\x80", "pong": b"\x8a\x80", "fragment": b"\x00\x80"}[kind] + bytes(4)
        opening = b"\x01\x80" + bytes(4) if kind == "fragment" else b""
        writer.transport.write(opening + masked * 20_000)
        assert await flooding.closed() == 4429
        assert (await calm.ask("ping"))["type"] == "pong"
        await calm.close()
    assert "Traceback" not in limited.webs[0].output()


async def test_a_subprotocol_that_is_not_ascii_is_refused(web: Web) -> None:
    port = web.port
    for offered in ("chat.v1, tické", "chat.v1%C3%A9"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {web.url}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {offered}\r\n\r\n"
        )
        writer.write(head.encode("latin1"))
        assert (await reader.readline()).split()[1] == b"403"
        writer.close()


async def test_a_proxy_that_says_wss_is_one_of_https(live: Live) -> None:
    stack = live(workers=0, env={"HTTPS": "1", "TRUSTED_PROXIES": "1"})
    async with aiohttp.ClientSession() as http:
        for scheme, status in (("wss", 200), ("HTTPS", 200), ("ws", 301)):
            headers = {"X-Forwarded-Proto": scheme}
            async with http.get(stack.url + "/accounts/login/", headers=headers, allow_redirects=False) as page:
                assert page.status == status, scheme


async def test_the_access_log_has_no_query_strings(web: Web) -> None:
    async with aiohttp.ClientSession() as http, http.get(web.url + "/accounts/login/?next=/&canary=s3cret") as page:
        assert page.status == 200
    web.await_output("GET /accounts/login/", 5)
    output = web.output()[web.said_before :]
    assert "s3cret" not in output
    line = next(json.loads(line) for line in output.splitlines() if "GET /accounts/login/" in line)
    assert line["status"] == 200
    assert line["logger"] == "access"
    assert line["client"].startswith("127.0.0.1:")


def test_two_processes_share_one_listening_socket(live: Live) -> None:
    """As under `manage.py up --web 2`: when one goes, the other serves on the same port."""
    stack = live(workers=0, web=2)
    one, two = stack.webs
    two.stop()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        one.stop()
        one.port = two.port = listener.getsockname()[1]
        for web in (one, two):
            web.log.unlink()
            web.start(listener=listener.dup())
        for web in (one, two):  # not through /readyz: either would answer for the other
            web.await_output('"event": "server_started"')
    one.kill(signal.SIGTERM)
    assert one.wait() == 0
    two.await_ready()

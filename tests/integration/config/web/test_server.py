"""The web process: how it ends, what it refuses, what it writes about requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable

import aiohttp
import psycopg
import pytest

from tests.client import Client, session
from tests.stack import Stack

Live = Callable[..., Stack]


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


async def test_sockets_elsewhere_and_huge_frames_are_refused(live: Live) -> None:
    stack = live(workers=0)
    async with session(stack.url) as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.http.ws_connect(stack.url.replace("http", "ws", 1) + "/elsewhere/", origin=stack.url)
        assert refused.value.status == 403

        client = await browser.connect()
        await client.ws.send_str('{"type": "ping", "ref": "' + "x" * 100_000 + '"}')  # over 64 KiB: the consumer's word
        assert (await client.next("error"))["code"] == "too_large"
        assert (await client.ask("ping"))["type"] == "pong"
        with contextlib.suppress(ConnectionError):  # over the hard limit: cut while it is still being sent
            await client.ws.send_str("x" * 2_000_000)
        assert await client.closed() not in (None, 1000)
    assert "Traceback" not in stack.webs[0].output()
    assert stack.webs[0].status() == 200


async def test_the_access_log_has_no_query_strings(live: Live) -> None:
    stack = live(workers=0)
    async with aiohttp.ClientSession() as http, http.get(stack.url + "/accounts/login/?next=/&canary=s3cret") as page:
        assert page.status == 200
    stack.webs[0].await_output("GET /accounts/login/", 5)
    output = stack.webs[0].output()
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

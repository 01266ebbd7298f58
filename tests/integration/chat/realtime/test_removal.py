"""Who is removed loses everything live, on each server: sockets, the streams of their share links, downloads."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import pytest
from yarl import URL

from accounts.lib.streaming import CHECK_SECONDS
from tests.client import Session, session
from tests.fixtures.measurements import measured
from tests.stack import Stack
from tests.watching import watcher

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(180)]

BIG = 12_000_000  # bytes of a message: more than all buffers between a web process and a slow client hold
LIVE = {"kind": "live", "audience": "users", "days": "1"}


@pytest.fixture
async def alice(stack: Stack) -> AsyncGenerator[Session]:
    async with session(stack.url) as logged_in:
        yield logged_in


@pytest.fixture
async def bob(stack: Stack) -> AsyncGenerator[Session]:
    async with session(stack.url, "bob@example.org") as logged_in:
        yield logged_in


class Download:
    """A download by a client that reads the beginning, and the rest when `go_on` is set."""

    def __init__(self, url: str, who: Session) -> None:
        self.url = url
        self.cookies = who.http.cookie_jar.filter_cookies(URL(who.url)).values()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> int:
        """How many bytes came."""
        parts = urlsplit(self.url)
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        wire.setblocking(False)
        loop, count = asyncio.get_running_loop(), 0
        await loop.sock_connect(wire, (parts.hostname, parts.port))
        cookies = "; ".join(f"{one.key}={one.value}" for one in self.cookies)
        head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\n\r\n"
        await loop.sock_sendall(wire, head.encode())
        with contextlib.suppress(ConnectionError):  # it is cut
            while data := await loop.sock_recv(wire, 64 * 1024):
                assert count or data.startswith(b"HTTP/1.1 200"), data[:200]
                count += len(data)
                self.begun.set()
                await self.go_on.wait()
        wire.close()
        return count


async def test_everything_live_ends(stack: Stack, alice: Session, bob: Session) -> None:
    hers = await alice.connect()
    accepted = await hers.say("Go on and on [[tokens=3000 rate=20]]")
    conversation = accepted["conversation_id"]
    invite = {"email": "bob@example.org", "role": "owner"}  # only owners share
    assert (await alice.post(f"/c/{conversation}/members/add/", invite)).status == 200
    [row] = stack.sql("SELECT id FROM accounts_user WHERE email = 'bob@example.org'")
    shared = await bob.post(f"/c/{conversation}/shares/new/", LIVE)
    assert shared.status == 200, await shared.text()
    urls = [web.url for web in stack.webs]
    his = [await bob.connect(at=url) for url in urls]
    for client in his:
        await client.ask("subscribe", conversation_id=conversation)
        await client.shows(accepted["run_id"], 5)
    text = "UPDATE chat_message SET text = %s WHERE conversation_id = %s AND role = 'user' RETURNING id"
    async with watcher((await shared.json())["url"], http=bob.http) as reader:
        await reader.open(at=urls[-1])
        await reader.until(lambda: reader.snapshots, "a snapshot")
        stack.sql(text, "lorem ipsum " * (BIG // 12), conversation)
        paths = (f"/c/{conversation}/export/?as=json", "/conversations/export/?")
        downloads = [Download(url + path, bob) for url in urls for path in paths]
        for one in downloads:
            async with asyncio.timeout(60):
                await one.begun.wait()
        asked = time.monotonic()
        answer = await alice.post(f"/c/{conversation}/members/{row['id']}/remove/")
        assert answer.status == 200
        measured("removal: answered after", round(time.monotonic() - asked, 2))
        assert [await client.closed() for client in his] == [4403, 4403]
        await reader.until(lambda: reader.ended, "the end of the stream")
        for client in his:
            measured("removal: the last frame on a socket after", round(client.times[-1] - asked, 2))
        measured("removal: the end of a share's stream after", round(reader.times[-1] - asked, 2))
    await asyncio.sleep(2 * CHECK_SECONDS)
    for one in downloads:
        one.go_on.set()
        async with asyncio.timeout(60):
            assert await one.reading < BIG, f"{one.url} was cut"
    stack.sql(text, "lorem", conversation)
    async with bob.http.get(f"{urls[-1]}/search/?q=lorem") as found:
        assert conversation not in await found.text()
    async with bob.http.get(f"{urls[-1]}/c/{conversation}/find/?q=lorem") as found:
        assert found.status == 404
    assert (await alice.post(f"/c/{conversation}/members/add/", invite)).status == 200
    back = await bob.connect(at=urls[-1])
    reply = await back.ask("subscribe", conversation_id=conversation)
    assert (reply["type"], reply["recovered"]) == ("subscribed", False), "the past is shared with who is added again"
    async with bob.http.get(f"{urls[-1]}/search/?q=lorem") as found:
        assert conversation in await found.text()
    await hers.ask("run.stop", run_id=accepted["run_id"])
    for client in (hers, back):
        await client.close()

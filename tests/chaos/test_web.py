"""Web processes that are killed or deployed, and clients that reload, repeat themselves or do not read (R9-R13)."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import random
import signal
import socket
import time
import uuid
from typing import Any

import psutil
import pytest
from yarl import URL

from tests.chaos.driving import answer, restart, scene
from tests.client import Session
from tests.client_view import View
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Stack, get_status

DRAIN = 4.0

SYSTEM = {"web": 2, "workers": 1, "env": {"DRAIN_SECONDS": str(DRAIN)}}

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def test_r9_a_killed_web_process(system: tuple[Stack, FakeOpenAI]) -> None:
    """Fifty clients in the middle of ten answers go to the other process and go on where they were."""
    stack, _ = system
    first, second = stack.webs
    async with scene(stack, web=1) as here:
        author = await here.connect(at=second.url)
        runs = [await here.say(author, f"Kill {number} [[tokens=300 rate=40]]") for number in range(10)]
        pages: list[dict[str, View]] = [{} for _ in range(50)]
        clients = []
        for number, views in enumerate(pages):
            client = await here.connect(at=first.url, views=views)
            await client.ask("subscribe", conversation_id=runs[number % 10]["conversation_id"])
            clients.append(client)
        first.kill()
        killed = time.monotonic()

        async def come_back(number: int) -> float:
            await clients[number].closed()
            await asyncio.sleep(random.uniform(0, 1))  # full jitter
            views = pages[number]
            accepted = runs[number % 10]
            view = views[accepted["conversation_id"]]
            client = await here.connect(at=second.url, views=views)
            position = {"epoch": view.epoch, "seq": view.seq}
            reply = await client.ask("subscribe", conversation_id=accepted["conversation_id"], position=position)
            took = time.monotonic() - killed
            assert reply["recovered"] is True
            run = await client.ended(accepted["run_id"])
            assert run["text"] == answer(300)
            return took

        seconds = sorted(await asyncio.gather(*(come_back(number) for number in range(50))))
        starting = asyncio.create_task(restart(first))
        await here.judge()
        await starting
        measured("R9 a killed web process, p95 seconds", round(seconds[47], 1))
        assert seconds[47] < 5


async def test_r10_a_deploy_closes_every_socket_in_order(system: tuple[Stack, FakeOpenAI]) -> None:
    """SIGTERM with 200 sockets, and one more every 100 ms until the moment: 4000 for all, spread over the drain."""
    stack, _ = system
    first, second = stack.webs
    async with scene(stack, web=1) as here:
        clients = []
        for _ in range(20):
            clients += await asyncio.gather(*(here.alice.connect(at=first.url) for _ in range(10)))
        views: dict[str, View] = {}
        client = await here.connect(at=first.url, views=views)
        accepted = await here.say(client, "Deploy [[tokens=400 rate=60]]")
        arriving: list[Any] = []
        stopping = asyncio.Event()

        async def arrive() -> None:
            while not stopping.is_set():
                arriving.append(await here.alice.connect(at=first.url))
                await asyncio.sleep(0.1)

        arrivals = asyncio.create_task(arrive())
        while len(arriving) < 8:
            await asyncio.sleep(0.02)
        stopping.set()
        await arrivals
        told = time.monotonic()
        first.kill(signal.SIGTERM)
        while (status := await asyncio.to_thread(get_status, first.url, "/readyz")) == 200:
            await asyncio.sleep(0.01)
        assert status in (0, 503), "not ready, or no longer listening"

        async def leave(one: Any) -> tuple[int | None, float]:
            code = await one.closed(DRAIN + 8)
            return code, time.monotonic() - told

        everybody = [*clients, *arriving, client]
        left = await asyncio.gather(*(leave(one) for one in everybody))
        assert collections.Counter(code for code, _ in left) == {4000: len(everybody)}
        times = sorted(at for _, at in left)
        measured(
            "R10 a deploy closes every socket in order, first and last second",
            (round(times[0], 1), round(times[-1], 1)),
        )
        assert times[-1] < DRAIN + 2
        busiest = max(sum(start <= at < start + 1 for at in times) for start in times)
        assert busiest < len(times) * (1 / DRAIN + 0.15), "they leave evenly"
        assert await asyncio.to_thread(first.wait, DRAIN + 8) == 0
        again = await here.connect(at=second.url, views=views)
        one = accepted["conversation_id"]
        position = {"epoch": views[one].epoch, "seq": views[one].seq}
        assert (await again.ask("subscribe", conversation_id=one, position=position))["recovered"] is True
        assert (await again.ended(accepted["run_id"]))["text"] == answer(400)
        starting = asyncio.create_task(restart(first))
        await here.judge()
        await starting


async def test_r23_a_frozen_web_process(system: tuple[Stack, FakeOpenAI]) -> None:
    """Its sockets are silent. A page that leaves goes on elsewhere, where its message is taken once; one that stays
    gets the rest when the process goes on.
    """
    stack, upstream = system
    upstream.reset()
    first, second = stack.webs
    async with scene(stack, web=1) as here:
        views: dict[str, View] = {}
        page, staying = await here.connect(at=first.url, views=views), await here.connect(at=first.url)
        accepted = await here.say(page, "Freeze [[tokens=300 rate=40]]")
        one, run_id = accepted["conversation_id"], accepted["run_id"]
        await staying.ask("subscribe", conversation_id=one)
        await page.shows(run_id, 40)
        first.kill(signal.SIGSTOP)
        frozen = time.monotonic()
        try:
            await asyncio.sleep(0.2)  # what was on its way has come
            seen = len(page.frames)
            message: dict[str, Any] = {
                "conversation_id": None,
                "client_id": str(uuid.uuid4()),
                "text": "Meanwhile [[tokens=5]]",
            }
            await page.send("message.send", ref="meanwhile", **message)
            await asyncio.sleep(3)
            assert len(page.frames) == seen, "no reply, no event, no ping"
            assert page.close_code is None, "nothing says that it is frozen"
            await page.drop()  # the page gives it up after seven seconds of silence

            again = await here.connect(at=second.url, views=views)
            position = {"epoch": views[one].epoch, "seq": views[one].seq}
            assert (await again.ask("subscribe", conversation_id=one, position=position))["recovered"] is True
            sent = await again.ask("message.send", **message)
            assert (sent["type"], sent["duplicate"]) == ("message.accepted", False)
            assert (await again.ended(sent["run_id"]))["text"] == answer(5)
            measured("R23 answered elsewhere, after", round(time.monotonic() - frozen, 1))
            assert (await again.ended(run_id))["text"] == answer(300)
        finally:
            first.kill(signal.SIGCONT)  # and now it reads the first copy of the message
        assert (await staying.ended(run_id))["text"] == answer(300)
        late = await here.connect(at=first.url)
        repeated = await late.ask("message.send", **message)
        assert (repeated["message_id"], repeated["duplicate"]) == (sent["message_id"], True)
        assert len(upstream.chats) == 2, "one answer for each message"
        assert first.status() == 200, "it goes on"
        await here.judge()


async def test_r12_readers_who_come_at_any_moment(system: tuple[Stack, FakeOpenAI]) -> None:
    """Reloads and second tabs in the middle of an answer show the same, from the first frame on."""
    stack, _ = system
    async with scene(stack) as here:
        author = await here.connect()
        accepted = await here.say(author, "Reload [[tokens=240 rate=60]]")
        one, run_id = accepted["conversation_id"], accepted["run_id"]

        async def read(number: int) -> str:
            await author.shows(run_id, random.randint(1, 1500))
            client = await here.connect(at=stack.webs[number % 2].url)
            began = time.monotonic()
            reply = await client.ask("subscribe", conversation_id=one)
            assert time.monotonic() - began < 2
            assert not reply["recovered"]
            await client.ended(run_id)
            return client.shown(run_id)

        texts = await asyncio.gather(*(read(number) for number in range(12)))
        assert set(texts) == {answer(240)}
        await here.judge()


async def test_r13_a_reply_that_is_lost(system: tuple[Stack, FakeOpenAI]) -> None:
    """Sent, cut off before the reply, sent again elsewhere; and twenty at once: always one message."""
    stack, upstream = system
    upstream.reset()
    async with scene(stack) as here:
        for place in range(6):
            client_id = str(uuid.uuid4())
            text = f"Lost reply {place} [[tokens=5 rate=50]]"
            client = await here.connect(at=stack.webs[place % 2].url)
            fields = {"conversation_id": None, "client_id": client_id, "text": text, "ask": True}
            await client.send("message.send", ref="1", **fields)
            await asyncio.sleep(random.uniform(0, 0.03))
            await client.drop()
            other = await here.connect(at=stack.webs[1 - place % 2].url)
            replies = await asyncio.gather(*(other.say(text, client_id=client_id) for _ in range(20)))
            assert len({(reply["message_id"], reply["run_id"]) for reply in replies}) == 1
            run = await other.ended(replies[0]["run_id"])
            assert run["text"] == answer(5)
            conflict = await other.say(text + "!", client_id=client_id)
            assert conflict["code"] == "conflict"
            rows = stack.sql("SELECT count(*) AS n FROM chat_message WHERE role = 'user' AND text = %s", text)
            assert rows == [{"n": 1}]
        assert len(upstream.chats) == 6, "one answer each"
        await here.judge()


async def test_r11_a_client_that_never_reads(system: tuple[Stack, FakeOpenAI]) -> None:
    """It costs a bounded amount of memory and is closed; those beside it notice nothing."""
    stack, _ = system
    web = stack.webs[0]
    async with scene(stack) as here:
        author, reader = await here.connect(at=web.url), await here.connect(at=stack.webs[1].url)
        accepted = await here.say(author, "Flood [[tokens=4000 rate=700 size=1000]]")
        one, run_id = accepted["conversation_id"], accepted["run_id"]
        await reader.ask("subscribe", conversation_id=one)
        process = psutil.Process(web.pid)
        before = process.memory_info().rss
        stuck = [
            await asyncio.to_thread(open_stuck, web.port, await here.alice.ticket(), here.alice, one) for _ in range(12)
        ]
        began = time.monotonic()
        highest = before
        try:
            while not (run := reader.views[one].runs[run_id])["ended"]:
                highest = max(highest, process.memory_info().rss)
                # Two of them say that they have read it all, and have not.
                for link in stuck[:2]:
                    with contextlib.suppress(OSError):
                        link.sendall(text_frame({"type": "ack", "conversation_id": one, "seq": reader.views[one].seq}))
                assert time.monotonic() - began < 25, len(run["text"])
                assert reader.close_code is None
                await asyncio.sleep(0.1)
            assert len(run["text"]) == 4_000_000
            await author.ended(run_id)
        finally:
            for link in stuck:
                link.close()
        measured(
            "R11 a client that never reads, megabytes per socket", round((highest - before) / len(stuck) / 2**20, 1)
        )
        limit = (len(stuck) + 10) * 2**20  # a megabyte for each, and noise
        assert highest - before < limit, "they were sent eight megabytes each, of which the kernel takes up to four"
        await here.judge()


def open_stuck(port: int, ticket: str, session: Session, conversation: str) -> socket.socket:
    """A WebSocket that subscribes and then reads nothing, with hardly any room of its own (RFC 6455, by hand)."""
    cookies = "; ".join(
        f"{name}={cookie.value}" for name, cookie in session.http.cookie_jar.filter_cookies(URL(session.url)).items()
    )
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.settimeout(10)
    link.connect(("127.0.0.1", port))
    lines = [
        "GET /ws/ HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Cookie: {cookies}",
        f"Origin: http://127.0.0.1:{port}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: chat.v1, ticket.{ticket}",
    ]
    link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert link.recv(12) == b"HTTP/1.1 101"
    link.sendall(text_frame({"type": "subscribe", "conversation_id": conversation}))
    return link


def text_frame(command: dict[str, Any]) -> bytes:
    """One masked text frame (the mask is zero) of less than 126 bytes, or with two bytes of length."""
    payload = json.dumps(command).encode()
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + payload

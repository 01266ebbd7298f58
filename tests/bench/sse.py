"""The load client's streams of a live share: one who asks over a socket, and many who watch over server-sent events."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tests.bench.answers import Answered, read_answer
from tests.bench.door import Door
from tests.bench.stamps import now_us
from tests.bench.wire import ENDINGS, Incoming

AT_ONCE: Final = 32
_decoder = msgspec.json.Decoder(Incoming)


class Sharing(msgspec.Struct):
    """A room whose owner asks while `watchers` follow its live share."""

    urls: list[str]
    room: tuple[str, list[str]]  # conversation id; sessions, of which the first is the owner's
    watchers: int
    model: str
    limit_s: float
    tag: str = "sse"


class Stream(asyncio.Protocol):
    """One who watches. Each event is in one piece of the response, so the framing of HTTP is passed over."""

    def __init__(self, host: str, path: str) -> None:
        loop = asyncio.get_running_loop()
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.pieces: list[tuple[int, str]] = []
        self.frames = 0
        self.transport: Any = None
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for event in whole:
            start = event.find(b"data: ")
            if start >= 0:
                self._receive(event[start + 6 :], event)

    def _receive(self, body: bytes, event: bytes) -> None:
        if b"event: snapshot" in event:
            if not self.ready.done():
                self.ready.set_result(None)
            return
        self.frames += 1
        frame = _decoder.decode(body)
        if frame.type == "run.delta":
            self.pieces.append((now_us(), frame.text))
        elif frame.type in ENDINGS and not self.ended.done():
            self.ended.set_result(frame.type)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.ready, self.ended):
            if not future.done():
                future.set_exception(ConnectionError("the stream was closed"))
                future.exception()  # read, whoever waits for it or not


async def share(door: Door, conversation: str, session: str) -> str:
    """The path of the stream of a new live link."""
    url = door.urls[0]
    headers = {"Cookie": f"{session}; csrftoken={door.csrf}", "X-CSRFToken": door.csrf, "Origin": url}
    form = {"kind": "live", "audience": "anyone", "days": "1"}
    async with door.http.post(f"{url}/c/{conversation}/shares/new/", data=form, headers=headers) as answer:
        if answer.status != 200:
            raise ConnectionError(f"not shared: {answer.status} {(await answer.text())[:200]}")
        made: str = (await answer.json())["url"]
        return f"{urlsplit(made).path}/events"


async def run_sharing(runner: Any, plan: Sharing) -> dict[str, Any]:
    """As `run_watching` of the client, over server-sent events."""
    door = Door(plan.urls)
    conversation, sessions = plan.room
    asker = await door.open(sessions[0])
    await asker.subscribe(conversation, None)
    path = await share(door, conversation, sessions[0])
    gate = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def connect(number: int) -> Stream:
        url = urlsplit(plan.urls[number % len(plan.urls)])
        async with gate:
            _, stream = await loop.create_connection(
                lambda: Stream(url.netloc, path), url.hostname or "", url.port or 80
            )
            await asyncio.wait_for(stream.ready, 60)
        return stream

    streams = await asyncio.gather(*map(connect, range(plan.watchers)))
    await runner.step("connected", sockets=len(streams) + 1)
    runner.lag.begin()
    asker.ask(f"{plan.tag}0", plan.model, conversation)
    await asyncio.wait([asker.ended, *(stream.ended for stream in streams)], timeout=plan.limit_s)
    told = runner.lag.end()
    await runner.step("streamed")
    answer = asker.read()
    wrong, added = 0, []
    for stream in streams:
        wrong += zlib.crc32("".join(piece for _, piece in stream.pieces).encode()) != answer.crc
        added += read_answer(Answered(), stream.pieces).added_us
        stream.transport.abort()
    asker.close()
    await door.close()
    return {
        "answers": msgspec.to_builtins([answer]),
        "followers": len(streams),
        "wrong": wrong,
        "added_us": added,
        **told,
    }


SCENARIOS: Final[dict[str, tuple[type[Any], Callable[[Any, Any], Awaitable[dict[str, Any]]]]]] = {
    "sharing": (Sharing, run_sharing),
}

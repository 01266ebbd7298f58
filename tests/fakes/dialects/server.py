"""A model server on a real socket, in a thread, which speaks the dialect it is given.

    with DialectServer(AnthropicWire()) as server:
        server.play(Script(cut=2))

A request that the dialect's published protocol does not allow is answered with 400 and noted (`server.problems`).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.dialects.script import Exchange, Reply, Script
from tests.fakes.dialects.wire import ProtocolError, Wire


class DialectServer:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.exchanges: list[Exchange] = []
        self.script = Script()
        self.port = 0
        self._queue: deque[Script] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to enter for it."""
        return f"http://127.0.0.1:{self.port}{self.wire.prefix}"

    @property
    def chats(self) -> list[Exchange]:
        return [one for one in self.exchanges if self.wire.is_chat(one)]

    @property
    def problems(self) -> list[str]:
        return [one.problem for one in self.exchanges if one.problem]

    def play(self, script: Script, *, times: int = 1) -> None:
        """The next `times` answers."""
        self._queue.extend([script] * times)

    def wait_gone(self, seconds: float = 20.0) -> bool:
        """Whether the client of the last answer leaves in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.chats and self.chats[-1].gone:
                return True
            time.sleep(0.01)
        return False

    def __enter__(self) -> DialectServer:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(20), "the fake server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(20)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        early = b""  # what came of the next request while this one was being answered
        try:
            while (exchange := await _read_request(reader, early)) is not None:
                watch = asyncio.ensure_future(reader.read(1))
                try:
                    kept = await self._answer(exchange, watch, writer)
                except ConnectionError:  # what a client that leaves with unread bytes causes
                    exchange.gone = True
                    raise
                if not watch.done():
                    watch.cancel()
                    await asyncio.wait({watch})
                if not kept:
                    break
                early = b"" if watch.cancelled() else watch.result()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange, watch: asyncio.Future[bytes], writer: asyncio.StreamWriter) -> bool:
        """Whether the connection is kept. `watch` is done when the client has left."""
        self.exchanges.append(exchange)
        chat = self.wire.is_chat(exchange)
        script = (self._queue.popleft() if self._queue else self.script) if chat else Script()
        try:
            reply = self.wire.answer(exchange, script)
        except ProtocolError as problem:
            exchange.problem = str(problem)
            reply = Reply(400, events=(json.dumps({"error": {"message": f"not this protocol: {problem}"}}).encode(),))
        head = f"HTTP/1.1 {reply.status} Said\r\ncontent-type: {reply.kind}\r\ntransfer-encoding: chunked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        writer.write(head.encode() + b"\r\n")
        for number, event in enumerate(reply.events):
            piece = number - reply.lead
            if piece == script.cut >= 0:
                writer.write(b"%x\r\n%b" % (len(event) + 9, event[:3]))  # in the middle of a chunk
                await writer.drain()
                return False
            if piece == script.hang >= 0:
                await writer.drain()
                exchange.gone = await watch == b""
                return False
            for part in (event[at : at + 1] for at in range(len(event))) if script.split else (event,):
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                if script.split:
                    await asyncio.sleep(0)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _read_request(reader: asyncio.StreamReader, early: bytes) -> Exchange | None:
    try:
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    body: Any = json.loads(raw) if raw else None
    return Exchange(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)

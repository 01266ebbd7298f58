"""A scripted OpenAI-compatible server, cheap enough not to be what the bench measures.

The model's name is the script: `bench-20tps-200n` answers with 200 tokens at 20 a second, `bench-20tps-200n-150ms`
waits 150 ms before the first. `bench-50tps-4n-2r` first asks for a call of `current_time` in two requests, one after
the other, where tools are offered. Each token carries its time of sending (`tests.bench.stamps`). A word `bench:<tag>`
in the last user message names the answer in the ledger at `/bench/answers`.

Plain `asyncio.Protocol` on uvloop, chunks encoded beforehand, one heap of due times for all streams.
A slow reader does not slow the script down: what it does not take is buffered here, its stamp already written.

    python -m tests.bench.upstream [--port 0]      prints {"port": …} when it listens; ends when stdin closes
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import re
import time
import zlib
from typing import Any, Final, cast

import httptools
import msgspec
import uvloop

from tests.bench.running import end_with_parent
from tests.bench.stamps import now_us, write_token
from tests.bench.upstream_scripts import Script, read_script

_TAG: Final = re.compile(r"bench:([0-9a-z]+)")
MODELS: Final = ("bench-20tps-200n", "bench-50tps-4n")  # what /v1/models tells; any name that fits is served


class Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class Said(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Asked(msgspec.Struct):
    """The part of a chat completion request that the script looks at."""

    model: str
    messages: list[Said]
    stream: bool = False
    tools: list[msgspec.Raw] | None = None
    stream_options: StreamOptions | None = None


class Answer(msgspec.Struct):
    """One answer in the ledger. Times are µs of the monotonic clock; `crc` is that of the whole text sent."""

    tag: str
    received_us: int
    first_us: int = 0
    last_us: int = 0
    tokens: int = 0
    crc: int = 0
    complete: bool = False


_asked = msgspec.json.Decoder(Asked)


def _reply(status: str, body: Any) -> bytes:
    raw = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw


class Stage:
    """All answers in progress, by the time of their next token, and the ledger of those that ended."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.scripts: dict[str, Script] = {}
        self.ledger: list[Answer] = []
        self.tokens = 0
        self.late_ms: list[float] = []  # how far behind its schedule each hundredth token left
        self._due: list[tuple[float, int, Connection]] = []
        self._count = 0
        self._timer: asyncio.Handle | None = None
        self._wake_at = 0.0

    def script(self, model: str) -> Script | None:
        found = self.scripts.get(model)
        if found is None and (found := read_script(model)) is not None:
            self.scripts[model] = found
        return found

    def enter(self, connection: Connection, due: float) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, connection))
        if self._timer is None or due < self._wake_at:
            if self._timer is not None:
                self._timer.cancel()
            self._wake()

    def _wake(self) -> None:
        self._wake_at = self._due[0][0]
        self._timer = self.loop.call_at(self._wake_at, self._tick)

    def _tick(self) -> None:
        due, loop = self._due, self.loop
        self._timer = None
        horizon = loop.time() + 0.0005
        while due and due[0][0] <= horizon:
            at, count, connection = due[0]
            interval = connection.speak()
            if interval:
                heapq.heapreplace(due, (at + interval, count, connection))
            else:
                heapq.heappop(due)
            self.tokens += 1
            if self.tokens % 100 == 0:
                self.late_ms.append((loop.time() - at) * 1000)
        if due:
            self._wake()


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: one request at a time, kept alive between them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.body = bytearray()
        self.received_us = 0
        self.script: Script | None = None
        self.answer: Answer | None = None
        self.with_usage = False

    # what asyncio calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit it

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._write(_reply("400 Bad Request", {"error": {"message": str(error)}}))
            if self.transport is not None:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer is not None:
            self.stage.ledger.append(self.answer)
            self.answer = None

    # what httptools calls
    def on_message_begin(self) -> None:
        self.url = b""
        self.body.clear()
        self.received_us = now_us()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path = self.url.decode("latin-1").partition("?")[0]
        if path == "/v1/chat/completions":
            self._complete()
        elif path == "/v1/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "bench"} for name in MODELS]
            self._write(_reply("200 OK", {"object": "list", "data": models}))
        elif path == "/bench/answers":
            ledger, self.stage.ledger = self.stage.ledger, []
            self._write(_reply("200 OK", msgspec.to_builtins(ledger)))
        elif path == "/bench/stats":
            late, self.stage.late_ms = sorted(self.stage.late_ms), []
            behind = late[int(len(late) * 0.99)] if late else 0.0
            stats = {"cpu_s": time.process_time(), "tokens": self.stage.tokens, "late_p99_ms": behind}
            self._write(_reply("200 OK", stats))
        else:
            self._write(_reply("404 Not Found", {"error": {"message": f"no {path} here", "type": "not_found"}}))

    def _complete(self) -> None:
        try:
            asked = _asked.decode(bytes(self.body))
        except msgspec.DecodeError as error:
            self._write(_reply("400 Bad Request", {"error": {"message": str(error), "type": "invalid_request_error"}}))
            return
        script = self.stage.script(asked.model)
        if script is None:
            message = {"message": f"The model `{asked.model}` does not exist", "code": "model_not_found"}
            self._write(_reply("404 Not Found", {"error": message}))
            return
        if not asked.stream:
            choice = {"index": 0, "message": {"role": "assistant", "content": "Bench"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            whole = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": asked.model}
            self._write(_reply("200 OK", {**whole, "choices": [choice], "usage": usage}))
            return
        if asked.tools and (made := sum(bool(said.tool_calls) for said in asked.messages)) < len(script.calls):
            self._write(script.calls[made])
            return
        users = [said.text for said in asked.messages if said.role == "user"]
        tag = _TAG.search(users[-1]) if users else None
        self.answer = Answer(tag[1] if tag else "", self.received_us)
        self.script = script
        self.with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        self._write(script.head)
        self.stage.enter(self, self.stage.loop.time() + script.delay)

    def speak(self) -> float:
        """Sends the next token. Returns the seconds until the one after, 0.0 at the end."""
        answer, script, transport = self.answer, self.script, self.transport
        if answer is None or script is None or transport is None:
            return 0.0
        at = max(now_us(), answer.last_us + 1)
        token = write_token(at)
        transport.write(script.before + token + script.after)
        answer.last_us = at
        if not answer.tokens:
            answer.first_us = at
        answer.tokens += 1
        answer.crc = zlib.crc32(token, answer.crc)
        if answer.tokens < script.length:
            return script.interval
        transport.write(script.stop + (script.usage if self.with_usage else b"") + script.done)
        answer.complete = True
        self.stage.ledger.append(answer)
        self.answer = None
        return 0.0

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


async def serve(port: int) -> None:
    stage = Stage()
    server = await stage.loop.create_server(lambda: Connection(stage), "127.0.0.1", port, backlog=1024)
    async with server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await end_with_parent()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A scripted OpenAI-compatible server.")
    options.add_argument("--port", type=int, default=0)
    uvloop.run(serve(options.parse_args().port))

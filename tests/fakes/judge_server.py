"""A server that judges texts, and misbehaves when it is told to: OpenAI's moderation API, and chat models as judges.

    async with JudgeServer() as server:
        server.says("harassment", 0.9)            # what it finds in every text from now on
        server.misbehaves("garbage")              # or one of `MISBEHAVIOURS`; None: it behaves

`POST /v1/moderations` is answered as OpenAI does, `POST /v1/chat/completions` as a stream of `guard` or `json` words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any, Final, Self

MISBEHAVIOURS: Final = (
    "garbage", "html", "empty", "no_scores", "wrong_types", "never", "slow", "error", "busy", "unauthorized", "cut",
    "reset", "huge", "endless",
)  # fmt: skip
SLOW_SECONDS: Final = 0.3  # between the bytes of a slow answer
HUGE_BYTES: Final = 2 * 1024 * 1024
_HAZARDS: Final = {"violence": "S1", "illicit": "S2", "sexual": "S12", "hate": "S10", "harassment": "S5"}


class JudgeServer:
    """`guard`: chat models answer like Llama Guard, else with scores in JSON. `texts` are what it was asked about."""

    def __init__(self, *, guard: bool = False, usage: bool = True) -> None:
        self.guard = guard
        self.usage = usage
        self.texts: list[str] = []
        self.keys: list[str] = []
        self.gone = 0  # clients that left before the end of the answer
        self.delay = 0.0
        self.misbehaviour: Callable[[], str | None] = lambda: None
        self.scores_of: Callable[[str], dict[str, float]] = lambda _text: {}
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    def says(self, category: str, score: float, *, about: str = "") -> None:
        """From now on it finds this in texts that contain `about`."""
        self.scores_of = lambda text: {category: score} if about in text else {}

    def misbehaves(self, how: str | None) -> None:
        self.misbehaviour = lambda: how

    def misbehaves_now_and_then(self, share: float, seed: int) -> None:
        chosen = random.Random(seed)
        self.misbehaviour = lambda: chosen.choice(MISBEHAVIOURS) if chosen.random() < share else None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request. Returns whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.splitlines()[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = head.split()[1]
        if head.startswith("GET"):
            writer.write(_http(200, b'{"data": []}'))
            await writer.drain()
            return True
        asked = json.loads(body)
        chat = path.endswith("/chat/completions")
        text = asked["messages"][-1]["content"] if chat else asked["input"]
        if isinstance(text, list):  # a picture
            text = text[0]["image_url"]["url"]
        self.texts.append(text)
        self.keys.append(headers.get("authorization", ""))
        await asyncio.sleep(self.delay)
        answer = self._chat(text) if chat else self._moderation(text)
        try:
            return await self._write(writer, reader, answer, self.misbehaviour(), chat=chat)
        except ConnectionError:
            self.gone += 1
            raise

    async def _write(
        self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, answer: bytes, how: str | None, *, chat: bool
    ) -> bool:
        match how:
            case None:
                writer.write(_http(200, answer, "text/event-stream" if chat else "application/json"))
            case "error":
                writer.write(_http(500, b'{"error": {"message": "out of luck"}}'))
            case "busy":
                writer.write(_http(429, b'{"error": {"message": "slow down"}}', extra="Retry-After: 60\r\n"))
            case "unauthorized":
                writer.write(_http(401, b'{"error": {"message": "who are you"}}'))
            case "html":
                writer.write(_http(200, b"<html>It works!</html>", "text/html"))
            case "garbage" | "no_scores" | "wrong_types" | "empty" | "huge":
                wrong = self._wrong(how)
                sent = _stream(wrong.decode()) if chat else wrong
                writer.write(_http(200, sent, "text/event-stream" if chat else "application/json"))
            case "cut":
                writer.write(_http(200, answer, "text/event-stream" if chat else "application/json")[:-10])
                await writer.drain()
                return False
            case "reset":
                writer.transport.abort()
                return False
            case "slow" | "endless":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                while not reader.at_eof():
                    writer.write(b": still thinking\n\n" if chat else b" ")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), SLOW_SECONDS if how == "slow" else 0.001)
                self.gone += 1
                return False
            case _:  # never
                await reader.read()
                self.gone += 1
                return False
        await writer.drain()
        return True

    def _wrong(self, how: str) -> bytes:
        return {
            "garbage": b"I am a teapot, short and stout.",
            "no_scores": b"{}",
            "wrong_types": b'{"results": "none", "scores": ["hate", 3], "flagged": "perhaps"}',
            "empty": b"",
            "huge": b"x" * HUGE_BYTES,
        }[how]

    def _moderation(self, text: str) -> bytes:
        scores = {"harassment": 0.01, "hate": 0.01, **self.scores_of(text)}
        result = {"flagged": False, "categories": {}, "category_scores": scores}
        return json.dumps({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]}).encode()

    def _chat(self, text: str) -> bytes:
        scores = self.scores_of(text)
        if self.guard:
            codes = ",".join(_HAZARDS.get(category, "S6") for category in scores)
            return _stream(f"\n\nunsafe\n{codes}" if codes else "\n\nsafe", usage=self.usage)
        return _stream(json.dumps({"scores": scores or {"hate": 0.0}}), usage=self.usage)


def _stream(said: str, *, usage: bool = True) -> bytes:
    pieces = [said[at : at + 50_000] for at in range(0, len(said), 50_000)]
    events: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        events.append({"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 5, "total_tokens": 125}})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _http(status: int, body: bytes, kind: str = "application/json", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body

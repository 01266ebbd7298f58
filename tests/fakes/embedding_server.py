"""A server that makes embeddings (`POST /v1/embeddings`), and misbehaves when it is told to.

    async with EmbeddingServer() as server:
        server.misbehaves("nan")       # one of `MISBEHAVIOURS`; None: it behaves

A text's vector has a number for each of its words; words of `SYNONYMS` are the same word, so texts without a common
word can be similar.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import Callable
from typing import Any, Final, Self

from aiohttp import web

DIMENSIONS: Final = 64
SYNONYMS: Final = {"vacation": "leave", "holidays": "leave", "urlaub": "leave", "days": "time", "car": "vehicle"}
MISBEHAVIOURS: Final = (
    "garbage", "html", "count", "index", "short", "uneven", "nan", "infinite", "zero", "words", "empty", "error",
    "busy", "unauthorized", "missing", "never",
)  # fmt: skip
SLOWEST: Final = 3_600.0


class EmbeddingServer:
    """`texts` are those that it made vectors of, `requests` the bodies. `refuses`: texts that it does not take."""

    def __init__(self, *, dimensions: int = DIMENSIONS, port: int = 0) -> None:
        self.dimensions = dimensions
        self.texts: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.delay = 0.0
        self.usage = True
        self.how: str | None = None
        self.refuses: Callable[[str], bool] = lambda _text: False
        self.answers_left: int | None = None  # how many requests it still answers; the others wait. None: all
        self.waiting = 0
        self._port = port

    def misbehaves(self, how: str | None) -> None:
        self.how = how

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_post("/v1/embeddings", self._embed)
        application.router.add_get("/v1/models", self._list)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        assert site._server is not None
        self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's server
        self.url = f"http://127.0.0.1:{self._port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            while self.answers_left == 0:
                await asyncio.sleep(0.02)
        finally:
            self.waiting -= 1
        if self.answers_left is not None:
            self.answers_left -= 1

    async def _embed(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.requests.append(asked)
        self.keys.append(request.headers.get("Authorization", ""))
        await asyncio.sleep(SLOWEST if self.how == "never" else self.delay)
        await self._wait()
        texts: list[str] = asked["input"]
        match self.how:
            case "error":
                return web.json_response({"error": {"message": "out of luck"}}, status=500)
            case "busy":
                return web.json_response({"error": {"message": "slow"}}, status=429, headers={"Retry-After": "30"})
            case "unauthorized":
                return web.json_response({"error": {"message": "who are you"}}, status=401)
            case "missing":
                said = {"message": "no such model", "code": "model_not_found"}
                return web.json_response({"error": said}, status=404)
            case "html":
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case "garbage":
                return web.Response(body=b'{"data": [{"embedding": "AAAA"', content_type="application/json")
        if any(self.refuses(text) for text in texts):
            return web.json_response({"error": {"message": "input is too long"}}, status=400)
        vectors = [self._spoilt(vector_of(text, asked.get("dimensions") or self.dimensions)) for text in texts]
        self.texts += texts
        data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
        if self.how == "count":
            data = data[1:]
        if self.how == "index":
            data = [{**one, "index": 0} for one in data] * (2 if len(data) == 1 else 1)
        if self.how == "uneven":
            data = [*data[:-1], {**data[-1], "embedding": [1.0]}]
        answer: dict[str, Any] = {"object": "list", "data": data[::-1], "model": asked["model"]}
        if self.usage:
            tokens = sum(len(text.split()) for text in texts)
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    def _spoilt(self, vector: list[float]) -> list[Any]:
        match self.how:
            case "short":
                return vector[:-1]
            case "nan":
                return [math.nan, *vector[1:]]  # json.dumps writes NaN, as some servers do
            case "infinite":
                return [1e308, 1e308, *vector[2:]]
            case "zero":
                return [0.0] * len(vector)
            case "words":
                return ["one", *vector[1:]]
            case "empty":
                return []
        return list(vector)


def vector_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of a text: how often it has each word."""
    vector = [0.0] * dimensions
    for word in text.lower().replace(".", " ").replace("?", " ").replace(",", " ").split():
        vector[zlib.crc32(SYNONYMS.get(word, word).encode()) % dimensions] += 1.0
    return vector if any(vector) else [1.0, *vector[1:]]

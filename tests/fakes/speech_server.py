"""A server with `/v1/audio/speech`, as OpenAI publishes it: the audio of a sentence comes in pieces (24 kHz PCM16)."""

from __future__ import annotations

import array
import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

RATE = 24_000
MS_PER_CHARACTER = 40


@dataclass
class Request:
    body: dict[str, Any]
    sent: int = 0  # bytes
    broken_off: bool = False  # by whoever asked


def tone(milliseconds: int, rate: int = RATE) -> bytes:
    """Audio that is no silence, the same for the same length."""
    return array.array(
        "h", (round(9_000 * math.sin(2 * math.pi * 220 * n / rate)) for n in range(rate * milliseconds // 1000))
    ).tobytes()


def spoken(text: str, speed: float = 1.0, ms_per_character: int = MS_PER_CHARACTER) -> bytes:
    """What this server says for a text."""
    return tone(round(len(text) * ms_per_character / speed))


class FakeSpeech:
    """`delay`: seconds before each piece. `status`: refuses with it. `breaks`: ends the connection after one piece.

    `wav`: a WAV file at 48 kHz, whatever was asked for. `odd`: pieces of an odd number of bytes.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self.delay = 0.0
        self.ms_per_character = MS_PER_CHARACTER
        self.status = 200
        self.breaks = self.wav = self.odd = self.silent = self.talks = False
        self.requests: list[Request] = []

    @classmethod
    @asynccontextmanager
    async def run(cls, key: str) -> AsyncGenerator[Self]:
        server = cls(key)
        app = web.Application()
        app.router.add_post("/v1/audio/speech", server._speak)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield server
        finally:
            await runner.cleanup()

    @property
    def texts(self) -> list[str]:
        return [request.body["input"] for request in self.requests]

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"code": "invalid_api_key", "message": self.key}}, status=401)
        body = await request.json()
        if not {"model", "input", "voice"} <= body.keys() or body.get("response_format") != "pcm":
            return web.json_response({"error": {"message": "a field is missing"}}, status=400)
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        if self.talks:
            return web.json_response({"message": "no audio today"})
        seen = Request(body)
        self.requests.append(seen)
        answer = web.StreamResponse(headers={"Content-Type": "audio/wav" if self.wav else "audio/pcm"})
        await answer.prepare(request)
        audio = b"" if self.silent else spoken(body["input"], body.get("speed", 1.0), self.ms_per_character)
        if self.wav:
            audio = _as_wav(tone(round(len(audio) / 48), 48_000))
        size = 4_801 if self.odd else 4_800
        try:
            for start in range(0, len(audio), size):
                await asyncio.sleep(self.delay)
                await answer.write(audio[start : start + size])
                seen.sent += len(audio[start : start + size])
                if self.breaks:
                    assert request.transport is not None
                    request.transport.close()
                    break
            await answer.write_eof()
        except ConnectionError:
            seen.broken_off = not self.breaks
        except asyncio.CancelledError:
            seen.broken_off = True
            raise
        return answer


def _as_wav(pcm: bytes) -> bytes:
    """As a server that streams writes it: sizes that it does not know yet are all ones."""
    fmt = b"".join(
        number.to_bytes(size, "little") for number, size in ((1, 2), (1, 2), (48_000, 4), (96_000, 4), (2, 2), (16, 2))
    )
    unknown = b"\xff\xff\xff\xff"
    return b"RIFF" + unknown + b"WAVEfmt " + len(fmt).to_bytes(4, "little") + fmt + b"data" + unknown + pcm

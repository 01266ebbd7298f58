"""A running system with a scripted recogniser, and people who speak to it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.client import Client, Session, session
from tests.fakes.asr_recognisers import Recogniser, recogniser
from tests.fakes.asr_speech import BYTES_PER_MS, frames
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

FRAME_BYTES = 100 * BYTES_PER_MS
HEADER = struct.Struct("!BBHI")


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> Generator[Recogniser]:
    with recogniser(tmp_path_factory.mktemp("grammar")) as chosen:
        yield chosen


@pytest.fixture(scope="module")
def system(asr: Recogniser) -> Generator[tuple[Stack, FakeOpenAI]]:
    env = {"CHAT_MODELS": "small", **asr.env, "RECORDINGS_PER_USER": "2", "RECORDINGS_AT_ONCE": "3"}
    with stack_with_model(web=2, workers=1, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def stack(system: tuple[Stack, FakeOpenAI]) -> Stack:
    return system[0]


@pytest.fixture(scope="module")
def upstream(system: tuple[Stack, FakeOpenAI]) -> FakeOpenAI:
    return system[1]


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str = "alice") -> AsyncGenerator[Session]:
    async with session(stack.url, f"{name}@example.org") as logged_in:
        yield logged_in


class Speaker:
    """A recording of a client."""

    def __init__(self, client: Client, started: dict[str, Any]) -> None:
        self.client = client
        self.id: str = started["recording_id"]
        self.stream: int = started["stream"]
        self.number = 0

    async def frame(self, pcm: bytes, *, number: int | None = None, kind: int = 1, flags: int = 0) -> None:
        if number is None:
            number = self.number
        self.number = number + 1
        await self.client.ws.send_bytes(HEADER.pack(kind, flags, self.stream, number) + pcm)

    async def say(self, pcm: bytes, *, speed: float = 1.4) -> None:
        """At nearly the pace that is allowed."""
        for chunk in frames(pcm):
            await self.frame(chunk.ljust(FRAME_BYTES, b"\0"))
            await asyncio.sleep(len(chunk) / BYTES_PER_MS / 1000 / speed)

    async def stop(self, how: str = "stop") -> dict[str, Any]:
        reply = await self.client.ask(f"audio.{how}", recording_id=self.id)
        assert reply["type"] == "ok", reply
        return await self.client.next("audio.closed", recording_id=self.id)

    def seen(self, kind: str) -> list[dict[str, Any]]:
        return [f for f in self.client.frames if f["type"] == kind and f.get("recording_id") == self.id]


async def start(client: Client, conversation_id: str | None = None, **fields: Any) -> dict[str, Any]:
    options = {"encoding": "pcm_s16le", "sample_rate": 16000, "mode": "auto", "auto_send": False, **fields}
    options.setdefault("client_id", str(uuid.uuid4()))
    return await client.ask("audio.start", conversation_id=conversation_id, **options)


async def recording(client: Client, conversation_id: str | None = None, **fields: Any) -> Speaker:
    started = await start(client, conversation_id, **fields)
    assert started["type"] == "audio.started", started
    return Speaker(client, started)

"""The backends that the conformance suite holds to the rules of `workers.asr.base`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from tests.fakes.asr_assemblyai import FakeAssemblyAI
from tests.fakes.asr_deepgram import FakeDeepgram
from tests.fakes.asr_deepgram_flux import FakeFlux
from tests.fakes.asr_ears import recognise
from tests.fakes.asr_openai import FakeRealtime, FakeTranscriptions
from tests.fakes.asr_recognisers import POCKETSPHINX_INSTALLED, grammar, needs_moonshine, needs_pocketsphinx
from tests.fakes.asr_speechmatics import FakeSpeechmatics
from workers.asr.backends.assemblyai import AssemblyAIBackend
from workers.asr.backends.deepgram import DeepgramBackend
from workers.asr.backends.local_agreement import Word
from workers.asr.backends.moonshine import MoonshineBackend
from workers.asr.backends.openai_http import HttpBackend
from workers.asr.backends.openai_realtime import RealtimeBackend
from workers.asr.backends.speechmatics import SpeechmaticsBackend
from workers.asr.backends.sphinx import SphinxBackend
from workers.asr.backends.whisper import WhisperBackend
from workers.asr.base import AsrBackend

KEY: Final = "key-that-nobody-may-see"


@dataclass
class Case:
    """A backend, a way to break the session that is open and to mend the far end, and the far end itself.

    `free`: it is no script and knows more than the tests' sentences; it punctuates, and its partials may be wrong.
    """

    backend: AsrBackend
    cut: Callable[[], Awaitable[None]]
    mend: Callable[[], None] = lambda: None
    server: Any = None
    free: bool = False


@contextlib.asynccontextmanager
async def pocketsphinx(folder: Path) -> AsyncGenerator[Case]:
    backend = SphinxBackend(grammar=grammar(folder))
    await backend.prepare()

    async def cut() -> None:
        for engine in backend.engines:
            os.kill(engine.pid, signal.SIGKILL)

    try:
        yield Case(backend, cut)
    finally:
        await backend.aclose()


@contextlib.asynccontextmanager
async def moonshine(_: Path) -> AsyncGenerator[Case]:
    backend = MoonshineBackend()
    await backend.prepare()

    async def cut() -> None:
        for engine in backend.engines:
            os.kill(engine.pid, signal.SIGKILL)

    try:
        yield Case(backend, cut, free=True)
    finally:
        await backend.aclose()


@contextlib.asynccontextmanager
async def deepgram(_: Path) -> AsyncGenerator[Case]:
    async with FakeDeepgram.run(KEY) as server:
        yield Case(DeepgramBackend(KEY, server.url), server.cut, server=server)


@contextlib.asynccontextmanager
async def deepgram_flux(_: Path) -> AsyncGenerator[Case]:
    async with FakeFlux.run(KEY) as server:
        yield Case(DeepgramBackend(KEY, server.url, "flux-general-en"), server.cut, server=server)


@contextlib.asynccontextmanager
async def assemblyai(_: Path, *, model: str = "universal-3-5-pro") -> AsyncGenerator[Case]:
    async with FakeAssemblyAI.run(KEY) as server:
        yield Case(AssemblyAIBackend(KEY, server.url, model), server.cut, server=server)


@contextlib.asynccontextmanager
async def speechmatics(_: Path) -> AsyncGenerator[Case]:
    async with FakeSpeechmatics.run(KEY) as server:
        yield Case(SpeechmaticsBackend(KEY, server.url), server.cut, server=server)


@contextlib.asynccontextmanager
async def openai_realtime(
    _: Path, *, form: Literal["ga", "beta"], model: str = "gpt-live-transcribe"
) -> AsyncGenerator[Case]:
    async with FakeRealtime.run(KEY) as server:
        server.beta = form == "beta"
        backend = RealtimeBackend(KEY, server.url + "/v1/realtime", model, form=form)
        yield Case(backend, server.cut, server=server)


@contextlib.asynccontextmanager
async def openai_http(_: Path, *, streaming: bool) -> AsyncGenerator[Case]:
    async with FakeTranscriptions.run(KEY) as server:
        server.streaming = streaming
        backend = HttpBackend(KEY, url=server.url)

        async def cut() -> None:
            server.status = 503

        def mend() -> None:
            server.status = 200

        try:
            yield Case(backend, cut, mend, server)
        finally:
            await backend.aclose()


class ScriptedWhisper:
    """Hears what is there, word by word."""

    def __init__(self) -> None:
        self.passes = 0
        self.broken = False

    def words(self, pcm: bytes, *, language: str, prompt: str) -> list[Word]:
        if self.broken:
            raise RuntimeError("out of memory")
        assert language == "en"
        self.passes += 1
        return [Word(*heard) for heard in recognise(pcm)]


@contextlib.asynccontextmanager
async def whisper(_: Path) -> AsyncGenerator[Case]:
    model = ScriptedWhisper()
    backend = WhisperBackend(lambda: model)

    async def cut() -> None:
        model.broken = True

    def mend() -> None:
        model.broken = False

    try:
        yield Case(backend, cut, mend, model)
    finally:
        await backend.aclose()


CASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Case]]] = {
    "moonshine": moonshine,
    "pocketsphinx": pocketsphinx,
    "deepgram": deepgram,
    "deepgram_flux": deepgram_flux,
    "assemblyai": assemblyai,
    "assemblyai_universal_streaming": partial(assemblyai, model="universal-streaming-english"),
    "speechmatics": speechmatics,
    "openai_realtime": partial(openai_realtime, form="ga"),
    "openai_realtime_beta": partial(openai_realtime, form="beta"),
    "openai_realtime_vad": partial(openai_realtime, form="ga", model="gpt-4o-transcribe"),
    "openai_realtime_vad_beta": partial(openai_realtime, form="beta", model="whisper-1"),
    "openai_http": partial(openai_http, streaming=True),
    "openai_http_json": partial(openai_http, streaming=False),
    "whisper": whisper,
}
_MARKS: Final = {"moonshine": needs_moonshine, "pocketsphinx": needs_pocketsphinx}
CASE_NAMES: Final = [pytest.param(name, marks=_MARKS.get(name, ())) for name in CASES]
LOCAL: Final = "pocketsphinx" if POCKETSPHINX_INSTALLED else "whisper"  # a recogniser on this machine

"""The recogniser that end-to-end tests of voice input use.

pocketsphinx where it is installed, with a grammar of the sentences that are spoken; elsewhere one of the scripted
hosted servers, so that the way of the audio is tested with every Python version.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

import pytest

from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_openai import FakeRealtime, FakeTranscriptions

KEY: Final = "key-of-the-scripted-recogniser"
MOONSHINE_INSTALLED: Final = find_spec("moonshine_voice") is not None
needs_moonshine: Final = pytest.mark.skipif(
    not MOONSHINE_INSTALLED, reason="tests Moonshine itself, which is not installed (there is no wheel for this system)"
)
POCKETSPHINX_INSTALLED: Final = find_spec("pocketsphinx") is not None
needs_pocketsphinx: Final = pytest.mark.skipif(
    not POCKETSPHINX_INSTALLED, reason="tests pocketsphinx itself, which is not installed (it is optional)"
)

Server = TypeVar("Server")


@dataclass(frozen=True)
class Recogniser:
    """`backend`: its name in ASR_BACKENDS; `env`: the settings that choose it."""

    backend: str
    env: dict[str, str]
    transcriptions: FakeTranscriptions | None = None  # the server, where it is this one


def grammar(folder: Path) -> str:
    """The path of a JSGF grammar in `folder` that knows the tests' sentences only."""
    file = folder / "sentences.gram"
    file.write_text(f"#JSGF V1.0;\ngrammar sentences;\npublic <sentence> = {' | '.join(SENTENCES)};\n")
    return str(file)


def pocketsphinx(folder: Path) -> Recogniser:
    return Recogniser("pocketsphinx", {"ASR_BACKENDS": "pocketsphinx", "POCKETSPHINX_GRAMMAR": grammar(folder)})


@contextmanager
def recogniser(folder: Path) -> Iterator[Recogniser]:
    """For audio that reaches the recogniser unchanged: the scripted server recognises exactly these samples only."""
    if POCKETSPHINX_INSTALLED:
        yield pocketsphinx(folder)
        return
    with run_in_thread(lambda: FakeTranscriptions.run(KEY)) as server:
        env = {"ASR_BACKENDS": "openai_http", "TRANSCRIPTION_URL": server.url, "TRANSCRIPTION_API_KEY": KEY}
        yield Recogniser("openai_http", env, server)


@contextmanager
def recogniser_of_any_audio(folder: Path) -> Iterator[Recogniser]:
    """For audio that a browser has resampled: the scripted server takes whatever is loud for the next sentence."""
    if POCKETSPHINX_INSTALLED:
        yield pocketsphinx(folder)
        return
    with run_in_thread(lambda: FakeRealtime.run(KEY)) as server:
        yield realtime(server)


def realtime(server: FakeRealtime) -> Recogniser:
    env = {
        "ASR_BACKENDS": "openai_realtime",
        "OPENAI_REALTIME_URL": f"{server.url}/v1/realtime",
        "OPENAI_REALTIME_API_KEY": KEY,
    }
    return Recogniser("openai_realtime", env)


@contextmanager
def run_in_thread(make: Callable[[], AbstractAsyncContextManager[Server]]) -> Iterator[Server]:
    """Enters the asynchronous context on an event loop in a thread of its own, and leaves it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="recogniser", daemon=True)
    thread.start()
    manager = make()
    try:
        entered = asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result(10)
        try:
            yield entered
        finally:
            asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()

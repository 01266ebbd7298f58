"""Kokoro-82M on this machine, through the optional package `kokoro-onnx` (docs/voice.md): one sentence at a time.

The model speaks whole sentences: the first sound comes when all of a sentence is made. ONNX Runtime releases Python's
lock while it computes, so a thread is enough.
"""

from __future__ import annotations

import array
import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from workers.tts.base import SAMPLE_RATE, SpeechConfig, unavailable

# How espeak, which the package reads words with, names languages, and what the first letter of a voice's name says.
LANGUAGES: Final = {
    "en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn", "es": "es", "hi": "hi", "it": "it", "ja": "ja",
}  # fmt: skip
OF_VOICES: Final = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "cmn",
}  # fmt: skip


class Synthesizer(Protocol):
    """What is used of `kokoro_onnx.Kokoro`."""

    def get_voices(self) -> list[str]: ...

    def create(self, text: str, *, voice: str, speed: float, lang: str) -> tuple[Iterable[float], int]: ...


class KokoroBackend:
    """`load` makes the model: it takes seconds and some 300 MB, so it is called once, in the backend's own thread."""

    name = "kokoro"
    model = "kokoro"
    endpoint = ""

    def __init__(self, load: Callable[[], Synthesizer]) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kokoro")
        self._synthesizer: Synthesizer | None = None

    async def prepare(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._loaded)

    def _loaded(self) -> Synthesizer:
        if self._synthesizer is None:
            try:
                self._synthesizer = self._load()
            except Exception as error:  # noqa: BLE001 -- whatever a file that is no model raises
                raise unavailable(f"the model was not loaded ({type(error).__name__}: {error})") from None
        return self._synthesizer

    async def speak(self, text: str, config: SpeechConfig) -> AsyncGenerator[bytes]:
        yield await asyncio.get_running_loop().run_in_executor(self._thread, self._create, text, config)

    def _create(self, text: str, config: SpeechConfig) -> bytes:
        synthesizer = self._loaded()
        if config.voice not in synthesizer.get_voices():
            raise unavailable(f"the model has no voice {config.voice}")
        try:
            samples, rate = synthesizer.create(text, voice=config.voice, speed=config.speed, lang=language_of(config))
            if rate != SAMPLE_RATE:
                raise ValueError(f"{rate} Hz")
            return _as_pcm(samples)
        except Exception as error:  # noqa: BLE001 -- the packages name no errors
            raise unavailable(f"the sentence was not spoken ({type(error).__name__})") from None

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model}

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def language_of(config: SpeechConfig) -> str:
    """The text's language, where it is known and can be spoken; else the voice's."""
    primary = config.language.partition("-")[0].lower()
    own = OF_VOICES.get(config.voice[:1], "en-us")
    found = LANGUAGES.get(primary, own)
    return own if own.partition("-")[0] == primary else found  # British voices stay British


def _as_pcm(samples: Iterable[float]) -> bytes:
    pcm = array.array("h", (round(max(-1.0, min(1.0, float(sample))) * 32_767) for sample in samples))
    if sys.byteorder == "big":
        pcm.byteswap()
    return pcm.tobytes()

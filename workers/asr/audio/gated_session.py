"""A session for recognisers of single utterances: voice activity detection finds where each one starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from workers.asr.audio.vad import GateStep, SpeechAudio, SpeechEnded, SpeechPaused, SpeechStarted, VoiceGate, is_noise
from workers.asr.base import AsrConfig, AsrError, AsrEvent, EventStream, unavailable


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """The final transcript of an utterance."""

    text: str
    confidence: float | None = None


class Engine(Protocol):
    """Recognises one utterance at a time: `begin`, `feed`…, `finish`. Raises `AsrError`. Partials come at any time.

    `pause` comes at the beginning of a silence, with its audio. It may end the utterance, so a recogniser that needs
    time for the final transcript begins with it.
    """

    async def begin(self, on_partial: Callable[[str], None]) -> None: ...

    async def feed(self, pcm: bytes) -> None: ...

    async def pause(self, pcm: bytes) -> None: ...

    async def finish(self) -> FinalTranscript: ...

    async def aclose(self) -> None: ...


class GatedSession:
    """An `AsrSession` over an `Engine`. `send` waits while the engine processes the audio."""

    def __init__(self, engine: Engine, config: AsrConfig) -> None:
        self._engine = engine
        self._gate = VoiceGate(silence_ms=config.endpoint_silence_ms, max_utterance_ms=config.max_utterance_ms)
        self._events = EventStream()
        self._lock = asyncio.Lock()
        self._utterance = 0
        self._shown = ""
        self._open = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[AsrEvent]:
        return self._events.__aiter__()

    async def send(self, pcm: bytes) -> None:
        async with self._lock:
            self._events.raise_if_broken()
            if not self._events.over:
                await self._process(self._gate.feed(pcm))

    async def flush(self) -> None:
        async with self._lock:
            self._events.raise_if_broken()
            if not self._events.over:
                await self._process(self._gate.flush())

    async def aclose(self, *, drain: bool = True, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as in `AsrSession`
        if self._closed:
            return
        self._closed = True
        try:
            if drain:
                async with asyncio.timeout(timeout):
                    await self.flush()
        except TimeoutError:
            self._events.end(unavailable("the last utterance took too long"))
        except AsrError:
            pass  # the iteration raises it
        finally:
            self._events.end()
            await self._engine.aclose()

    async def _process(self, steps: list[GateStep]) -> None:
        try:
            for step in steps:
                await self._apply(step)
        except AsrError as error:
            self._events.end(error)
            raise

    async def _apply(self, step: GateStep) -> None:
        if isinstance(step, SpeechStarted):
            self._utterance += 1
            self._shown = ""
            self._open = True
            self._events.put(AsrEvent("speech_started", self._utterance, at_ms=step.at_ms))
            await self._engine.begin(self._on_partial)
        elif isinstance(step, SpeechAudio):
            await self._engine.feed(step.pcm)
        elif isinstance(step, SpeechPaused):
            await self._engine.pause(step.pcm)
        elif isinstance(step, SpeechEnded):
            self._events.put(AsrEvent("speech_stopped", self._utterance, at_ms=step.end_ms))
            final = await self._engine.finish()
            self._open = False
            self._events.put(
                AsrEvent(
                    "final",
                    self._utterance,
                    text="" if is_noise(final.text, step.speech_ms) else final.text.strip(),
                    start_ms=step.start_ms,
                    end_ms=step.end_ms,
                    confidence=final.confidence,
                )
            )

    def _on_partial(self, text: str) -> None:
        text = text.strip()
        if self._open and text and text != self._shown:
            self._shown = text
            self._events.put(AsrEvent("partial", self._utterance, text=text, at_ms=self._gate.audio_ms))

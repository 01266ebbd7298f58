"""Moonshine: the recogniser for English that comes with its model, and needs no key and no network.

The tiny model of the package moonshine-voice 0.1.0 transcribes whole segments. While somebody speaks, the segment so
far is transcribed again and again for partials. At the beginning of a silence it is transcribed once more; if the
silence ends the utterance, that is the final transcript, which then is there at once. A long utterance is cut into
segments at its pauses, so that no transcription takes long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from workers.asr.audio.gated_session import FinalTranscript
from workers.asr.backends.decoder_client import DecoderClient
from workers.asr.backends.moonshine_process import FINAL, PARTIAL
from workers.asr.backends.process_backend import ProcessBackend
from workers.asr.base import BYTES_PER_MS

PARTIAL_MS: Final = 400  # of new audio, at least, between two partials
PARTIAL_SHARE: Final = 0.5  # of one's time, at most, that transcribing partials may take
SEGMENT_MS: Final = 8_000  # a segment of this length ends at the next pause


class MoonshineBackend(ProcessBackend["MoonshineEngine"]):
    """`speakers`: recordings at once in this process."""

    name = "moonshine"
    module = "workers.asr.backends.moonshine_process"
    speakers_per_core = 4  # docs/voice.md has what was measured
    decode_seconds = 20.0

    def __init__(self, *, speakers: int = 0) -> None:
        super().__init__(speakers)

    def make_engine(self, decoder: DecoderClient, on_close: Callable[[MoonshineEngine], None]) -> MoonshineEngine:
        return MoonshineEngine(decoder, on_close=on_close)


class MoonshineEngine:
    """Transcribes the utterances of one recording. There is one transcription at a time."""

    def __init__(self, decoder: DecoderClient, *, on_close: Callable[[MoonshineEngine], None]) -> None:
        self._decoder = decoder
        self._on_close = on_close
        self._on_partial: Callable[[str], None] = lambda _: None
        self._segments: list[str] = []  # the texts of those that have ended
        self._audio = bytearray()  # of the segment
        self._text = ""  # of the last transcription of the segment ...
        self._transcribed = 0  # ... which has seen so many bytes
        self._cut = 0  # at how many bytes the segment ends; 0: nowhere yet
        self._next_partial = 0.0  # a time of `monotonic`
        self._running: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._decoder.pid

    async def begin(self, on_partial: Callable[[str], None]) -> None:
        self._on_partial = on_partial
        self._segments.clear()
        self._start_segment()

    def _start_segment(self) -> None:
        self._audio.clear()
        self._text, self._transcribed, self._cut = "", 0, 0

    async def feed(self, pcm: bytes) -> None:
        self._add(pcm)
        new = len(self._audio) - self._transcribed
        if self._running is None and new >= PARTIAL_MS * BYTES_PER_MS and monotonic() >= self._next_partial:
            self._running = asyncio.create_task(self._transcribe(PARTIAL, len(self._audio)))

    def _add(self, pcm: bytes) -> None:
        self._audio += pcm
        self._end_segment()
        self._check_running()

    async def pause(self, pcm: bytes) -> None:
        """Begins with what is probably the final transcript. It is not waited for: speech may go on."""
        self._add(pcm)
        length = len(self._audio)
        if length >= SEGMENT_MS * BYTES_PER_MS:
            self._cut = length
        if self._transcribed < length:
            self._running = asyncio.create_task(self._transcribe_after(self._running, length))

    def _end_segment(self) -> None:
        """Ends the segment at the pause where it is to be cut, once that much was transcribed and speech goes on."""
        if self._cut and self._transcribed == self._cut < len(self._audio):
            rest = self._audio[self._cut :]
            self._segments.append(self._text)
            self._start_segment()
            self._audio += rest

    async def finish(self) -> FinalTranscript:
        running, self._running = self._running, None
        if running is not None:
            await running
        if self._transcribed < len(self._audio):
            await self._transcribe(FINAL, len(self._audio))
        return FinalTranscript(self._whole_text())

    async def aclose(self) -> None:
        self._on_close(self)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._decoder.close()

    def _check_running(self) -> None:
        """Raises the `AsrError` of a transcription that failed meanwhile."""
        if self._running is not None and self._running.done():
            done, self._running = self._running, None
            done.result()

    async def _transcribe_after(self, running: asyncio.Task[None] | None, length: int) -> None:
        if running is not None:
            await running
        await self._transcribe(FINAL, length)

    async def _transcribe(self, operation: bytes, length: int) -> None:
        """Transcribes the first `length` bytes of the segment."""
        began = monotonic()
        self._text = await self._decoder.call(operation, bytes(self._audio[:length]))
        self._transcribed = length
        now = monotonic()
        self._next_partial = now + (now - began) * (1 / PARTIAL_SHARE - 1)
        self._on_partial(self._whole_text())
        self._end_segment()

    def _whole_text(self) -> str:
        return " ".join(text for text in [*self._segments, self._text] if text)

"""pocketsphinx, an optional package: a demo recogniser for English that needs no key. It makes many mistakes."""

from __future__ import annotations

from collections.abc import Callable

from workers.asr.audio.gated_session import FinalTranscript
from workers.asr.backends.decoder_client import DecoderClient
from workers.asr.backends.process_backend import ProcessBackend
from workers.asr.backends.sphinx_process import DECODE_SECONDS


class SphinxBackend(ProcessBackend["SphinxEngine"]):
    """`speakers`: recordings at once in this process; `grammar`: a JSGF file, only its sentences are recognised."""

    name = "pocketsphinx"
    module = "workers.asr.backends.sphinx_process"
    speakers_per_core = 2  # more fall behind: measured final 0.6 s after speech with 1, 1 s with 2, 3 s with 3
    decode_seconds = DECODE_SECONDS + 1

    def __init__(self, *, speakers: int = 0, grammar: str = "") -> None:
        super().__init__(speakers, grammar=grammar)

    def make_engine(self, decoder: DecoderClient, on_close: Callable[[SphinxEngine], None]) -> SphinxEngine:
        return SphinxEngine(decoder, on_close=on_close)


class SphinxEngine:
    """Sends the audio of one recording to its decoder process."""

    def __init__(self, decoder: DecoderClient, *, on_close: Callable[[SphinxEngine], None]) -> None:
        self.pid = decoder.pid
        self._decoder = decoder
        self._on_close = on_close
        self._on_partial: Callable[[str], None] = lambda _: None

    async def begin(self, on_partial: Callable[[str], None]) -> None:
        self._on_partial = on_partial
        await self._decoder.call(b"S")

    async def feed(self, pcm: bytes) -> None:
        self._on_partial(await self._decoder.call(b"A", pcm))

    async def pause(self, pcm: bytes) -> None:
        await self.feed(pcm)

    async def finish(self) -> FinalTranscript:
        return FinalTranscript(await self._decoder.call(b"E"))

    async def aclose(self) -> None:
        self._on_close(self)
        self._decoder.close()

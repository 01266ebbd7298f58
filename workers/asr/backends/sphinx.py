"""pocketsphinx, an optional package: a demo recogniser for English that needs no key. It makes many mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from django.utils.translation import gettext as _

from workers.asr.audio.gated_session import FinalTranscript, GatedSession
from workers.asr.backends.decoder_client import DecoderClient
from workers.asr.backends.process_pool import DecoderPool
from workers.asr.backends.sphinx_process import DECODE_SECONDS
from workers.asr.base import AsrCaps, AsrConfig, AsrError, busy

SPEAKERS_PER_CORE: Final = 2  # more fall behind: measured final 0.6 s after speech with 1, 1 s with 2, 3 s with 3


class SphinxBackend:
    """`speakers`: recordings at once in this process; `grammar`: a JSGF file, only its sentences are recognised."""

    name = "pocketsphinx"
    caps = AsrCaps(server_endpointing=False, languages=("en",))

    def __init__(self, *, speakers: int = 0, grammar: str = "") -> None:
        self.speakers = speakers or SPEAKERS_PER_CORE * (os.cpu_count() or 1)
        self.pool = DecoderPool(self.name, "workers.asr.backends.sphinx_process", grammar=grammar)
        self.engines: set[SphinxEngine] = set()
        self._opening = 0

    async def prepare(self) -> None:
        await self.pool.start()

    async def open(self, config: AsrConfig) -> GatedSession:
        if config.language.partition("-")[0].lower() not in self.caps.languages:
            raise AsrError(
                "asr_unavailable",
                _("Speech recognition knows English only here."),
                retryable=False,
                detail=f"pocketsphinx has no model for {config.language}",
            )
        if len(self.engines) + self._opening >= self.speakers:
            raise busy(f"{self.speakers} speakers at once")
        self._opening += 1
        try:
            decoder = await DecoderClient.open(self.pool, DECODE_SECONDS + 1)
            engine = SphinxEngine(decoder, on_close=self.engines.discard)
            self.engines.add(engine)
        finally:
            self._opening -= 1
        return GatedSession(engine, config)

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "speaking": len(self.engines), "speakers": self.speakers}

    async def aclose(self) -> None:
        for engine in list(self.engines):
            await engine.aclose()
        await self.pool.aclose()


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

    async def pause(self) -> None:
        """Nothing to do: it decodes while it gets the audio."""

    async def finish(self) -> FinalTranscript:
        return FinalTranscript(await self._decoder.call(b"E"))

    async def aclose(self) -> None:
        self._on_close(self)
        self._decoder.close()

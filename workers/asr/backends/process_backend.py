"""What the recognisers in a process on this machine have in common: how many speak at once, and their decoders."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from workers.asr.audio.gated_session import Engine, GatedSession
from workers.asr.backends.decoder_client import DecoderClient
from workers.asr.backends.process_pool import DecoderPool
from workers.asr.base import AsrCaps, AsrConfig, busy, check_language


class DecoderEngine(Engine, Protocol):
    """An engine that asks a decoder; `pid` is of the process that serves it."""

    @property
    def pid(self) -> int: ...


E = TypeVar("E", bound=DecoderEngine)


class ProcessBackend(ABC, Generic[E]):
    """A recogniser for English whose model is in the process of a `DecoderPool`, which runs `module`.

    `speakers`: recordings at once; 0: so many per core. `decode_seconds`: how long one request to a decoder may take.
    """

    name: str
    module: str
    speakers_per_core: int
    decode_seconds: float
    caps = AsrCaps(server_endpointing=False, languages=("en",))

    def __init__(self, speakers: int, **options: str) -> None:
        self.speakers = speakers or self.speakers_per_core * (os.cpu_count() or 1)
        self.pool = DecoderPool(self.name, self.module, **options)
        self.engines: set[E] = set()
        self._opening = 0

    @abstractmethod
    def make_engine(self, decoder: DecoderClient, on_close: Callable[[E], None]) -> E:
        """The engine of one recording."""

    async def prepare(self) -> None:
        await self.pool.start()

    async def open(self, config: AsrConfig) -> GatedSession:
        check_language(self, config.language)
        if len(self.engines) + self._opening >= self.speakers:
            raise busy(f"{self.speakers} speakers at once")
        self._opening += 1
        try:
            decoder = await DecoderClient.open(self.pool, self.decode_seconds)
            engine = self.make_engine(decoder, self.engines.discard)
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

"""Several backends as one: the first that opens is used, and a session that breaks continues on another connection.

The audio since the last final is kept (30 s at most) and sent to the next connection, so that a backend that recovers,
or the next one of the chain, gets all of it and the utterance in progress keeps its number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from workers.asr.audio.vad import SpeechStarted, VoiceGate
from workers.asr.base import (
    AsrBackend,
    AsrConfig,
    AsrError,
    AsrEvent,
    AsrSession,
    EventStream,
    check_language,
    unavailable,
)
from workers.asr.replay import Replay

RETRIES: Final = 2  # of the same backend, before the next one is tried
RETRY_SECONDS: Final = 0.3  # doubling
OPEN_SECONDS: Final = 10.0
HANG_MS: Final = 20_000  # of speech without a pause and without a transcript from a remote backend: it hangs

logger = structlog.get_logger(__name__)


class Chain:
    """Backends in order of preference."""

    def __init__(self, backends: Sequence[AsrBackend]) -> None:
        self.backends = list(backends)

    async def prepare(self) -> None:
        """Prepares all; one that fails is prepared again when it is opened."""
        for backend in self.backends:
            try:
                await backend.prepare()
            except AsrError as error:
                logger.warning("recogniser_not_prepared", backend=backend.name, detail=error.detail)

    async def open(self, config: AsrConfig) -> ChainedSession:
        session = ChainedSession(self.backends, config)
        await session.start()
        return session

    async def check(self) -> list[dict[str, Any]]:
        return [await backend.check() for backend in self.backends]

    async def aclose(self) -> None:
        for backend in self.backends:
            await backend.aclose()


class ChainedSession:
    """An `AsrSession` that outlives its backend. `backend` is the name of the one in use."""

    def __init__(self, backends: Sequence[AsrBackend], config: AsrConfig) -> None:
        self._backends = list(backends)
        self._config = config
        self._place = 0
        self._inner: AsrSession | None = None
        self._reader: asyncio.Task[None] | None = None
        self._events = EventStream()
        self._kept = Replay()
        self._lock = asyncio.Lock()
        self._generation = 0
        self._failure: AsrError | None = None
        self._closing = False
        # Utterances: the inner session counts from 1 each time.
        self._offset = 0
        self._last = 0
        self._open: dict[int, set[str]] = {}  # outer number -> kinds of events that were published
        self._gate: VoiceGate | None = None
        self._spoken_since = 0
        self.reconnects = 0

    @property
    def backend(self) -> str:
        return self._backends[self._place].name

    def __aiter__(self) -> AsyncIterator[AsrEvent]:
        return self._events.__aiter__()

    async def start(self) -> None:
        """Opens the first backend that can be opened. Raises the last one's `AsrError` where none can."""
        if not self._backends:
            raise unavailable("no backend is configured", retryable=False)
        await self._open_from(0)

    async def _open_from(self, place: int) -> None:
        error = unavailable("no further backend")
        for number in range(place, len(self._backends)):
            try:
                check_language(self._backends[number], self._config.language)
                async with asyncio.timeout(OPEN_SECONDS):
                    inner = await self._backends[number].open(self._config)
            except AsrError as failure:
                error = failure
            except TimeoutError:
                error = unavailable("opening took too long")
            else:
                self._place = number
                self._attach(inner)
                return
            logger.warning("recogniser_not_opened", backend=self._backends[number].name, detail=error.detail)
        raise error

    def _attach(self, inner: AsrSession) -> None:
        self._inner = inner
        self._generation += 1
        self._failure = None
        caps = self._backends[self._place].caps
        self._gate = VoiceGate() if caps.remote and caps.server_endpointing else None
        self._reader = asyncio.create_task(self._read(inner, self._kept.start_ms))

    # --- in -----------------------------------------------------------------------------------------------------

    async def send(self, pcm: bytes) -> None:
        self._events.raise_if_broken()
        self._kept.add(pcm)
        generation = self._generation
        try:
            assert self._inner is not None
            await self._inner.send(pcm)
            self._watch(pcm)
        except AsrError as error:
            await self._recover(generation, error)

    async def flush(self) -> None:
        self._events.raise_if_broken()
        generation = self._generation
        try:
            assert self._inner is not None
            await self._inner.flush()
        except AsrError as error:
            await self._recover(generation, error)
            assert self._inner is not None
            await self._inner.flush()

    def _watch(self, pcm: bytes) -> None:
        """Raises `AsrError` where an open connection reports nothing while somebody speaks."""
        if self._gate is None:
            return
        if any(isinstance(step, SpeechStarted) for step in self._gate.feed(pcm)):
            self._spoken_since = self._gate.audio_ms
        if self._gate.speaking and self._gate.audio_ms - self._spoken_since > HANG_MS:
            raise unavailable("no transcript for 20 s of speech")

    async def aclose(self, *, drain: bool = True, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as in `AsrSession`
        if self._closing:
            return
        self._closing = True
        for _ in range(2):
            assert self._inner is not None
            await self._inner.aclose(drain=drain, timeout=timeout)
            if self._reader is not None:
                await asyncio.wait({self._reader}, timeout=1)
            if self._failure is None or not drain or not self._open:
                break
            try:
                await self._recover(self._generation, self._failure)
            except AsrError:
                break
        if self._reader is not None:
            self._reader.cancel()
        if drain:
            self._close_open()
        self._events.end(self._failure if self._open else None)

    def _close_open(self) -> None:
        """Gives every utterance in progress an empty final: each utterance has one."""
        if self._failure is None:
            for number, published in sorted(self._open.items()):
                if "speech_stopped" not in published:
                    self._events.put(AsrEvent("speech_stopped", number, at_ms=self._kept.end_ms))
                self._events.put(AsrEvent("final", number, start_ms=self._kept.end_ms, end_ms=self._kept.end_ms))
            self._open.clear()

    # --- out ----------------------------------------------------------------------------------------------------

    async def _read(self, inner: AsrSession, base_ms: int) -> None:
        generation = self._generation
        try:
            async for event in inner:
                self._forward(event, base_ms)
            if self._closing:
                return
            error = unavailable("the session ended unexpectedly")
        except AsrError as failure:
            error = failure
        self._failure = error
        if not self._closing:
            with contextlib.suppress(AsrError):  # the iteration raises it
                await self._recover(generation, error)

    def _forward(self, event: AsrEvent, base_ms: int) -> None:
        number = event.utterance + self._offset
        if self._gate is not None:
            self._spoken_since = self._gate.audio_ms
        self._last = max(self._last, number)
        published = self._open.setdefault(number, set())
        if event.kind in published and event.kind != "partial":
            return  # published before the connection broke
        published.add(event.kind)
        if event.kind == "final":
            del self._open[number]
            self._kept.forget_until(event.end_ms + base_ms)
        self._events.put(
            replace(
                event,
                utterance=number,
                at_ms=event.at_ms + base_ms,
                start_ms=event.start_ms + base_ms,
                end_ms=event.end_ms + base_ms,
            )
        )

    # --- again --------------------------------------------------------------------------------------------------

    async def _recover(self, generation: int, error: AsrError) -> None:
        """Opens another session and sends it the kept audio. Ends with `AsrError` where no backend can be opened."""
        async with self._lock:
            if generation != self._generation:
                return  # another task has done it
            logger.warning("recogniser_failed", backend=self.backend, detail=error.detail)
            previous, reader = self._inner, self._reader
            if reader is not None and reader is not asyncio.current_task():
                reader.cancel()
            if previous is not None:
                await previous.aclose(drain=False)
            self._offset = min(self._open, default=self._last + 1) - 1
            try:
                await self._reopen(error)
            except AsrError as last:
                self._generation += 1
                self._failure = last
                self._events.end(last)
                raise

    async def _reopen(self, error: AsrError) -> None:
        delay = RETRY_SECONDS
        for attempt in range(RETRIES + 1):
            place = self._place if attempt < RETRIES and error.retryable else self._place + 1
            try:
                await self._open_from(place)
                assert self._inner is not None
                await self._inner.send(self._kept.audio())
            except AsrError as failure:
                error = failure
                if self._reader is not None:
                    self._reader.cancel()
                await asyncio.sleep(delay)
                delay *= 2
                continue
            self.reconnects += 1
            self._events.put(AsrEvent("reconnected", self._last, at_ms=self._kept.end_ms - self._kept.start_ms))
            return
        raise error

"""Speaks the sentences that sockets ask for (`chat.voice.speeches`). Runs on the worker's event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import Final

import django.db
import redis
import structlog
from django.conf import settings
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from accounts.quotas.settlement import Used, settle_background
from chat.voice import speeches
from chat.voice.speeches import Sentence
from workers.tts.base import BYTES_PER_MS, LONGEST_MS, SpeechConfig, TtsBackend, TtsError, unavailable
from workers.tts.cache import SpeechCache
from workers.tts.registry import open_backends

PIECE: Final = 160 * BYTES_PER_MS  # the largest one; 7,680 bytes
PURPOSE: Final = "speech"  # of its entries in the usage ledger

logger = structlog.get_logger(__name__)


class Unwanted(Exception):
    """Nobody listens to this sentence any more."""


class Speaker:
    """The speech synthesis of this process."""

    def __init__(self, owner: str, backends: list[TtsBackend] | None = None) -> None:
        self.owner = owner
        self.backends = open_backends() if backends is None else backends
        self.cache = SpeechCache(settings.SPEECH_CACHE_MB << 20, settings.SPEECH_CACHE_SECONDS)
        self._slots = asyncio.Semaphore(settings.SPEECH_AT_ONCE)

    async def prepare(self) -> None:
        """Loads models, so that the first listener does not wait for one."""
        for backend in self.backends:
            try:
                await backend.prepare()
            except TtsError as error:
                logger.warning("speech_not_prepared", backend=backend.name, detail=error.detail)

    async def speak(self, speech_id: uuid.UUID, number: int) -> None:
        """Speaks one sentence, unless another worker does or nobody wants it any more. Raises nothing."""
        async with self._slots:
            try:
                sentence = await speeches.claim(speech_id, number, self.owner)
                if sentence is not None:
                    keeper = asyncio.create_task(self._keep_claim(speech_id, number))
                    try:
                        await self._speak(speech_id, number, sentence)
                    finally:
                        keeper.cancel()
            except (redis.RedisError, OSError) as error:
                logger.warning("speech_lost", speech=str(speech_id), number=number, error=type(error).__name__)
            except Exception:
                logger.exception("speech_crashed", speech=str(speech_id), number=number)

    @staticmethod
    async def _keep_claim(speech_id: uuid.UUID, number: int) -> None:
        while True:
            await asyncio.sleep(speeches.RENEW_SECONDS)
            with lasting("speech_claim_not_renewed"):
                await speeches.renew(speech_id, number)

    async def _speak(self, speech_id: uuid.UUID, number: int, sentence: Sentence) -> None:
        """Uses the first backend that gives audio; one that breaks after that has spoken for all."""
        error = unavailable("no backend is configured")
        for backend in self.backends:
            made = bytearray()
            try:
                async with aclosing(self._audio(backend, sentence)) as pieces:
                    async for piece in pieces:
                        made += piece
                        if not await speeches.append(speech_id, number, d=piece):
                            raise Unwanted
                self.cache.put(_key(backend, sentence), bytes(made))
                await speeches.append(speech_id, number, e=len(made) // BYTES_PER_MS)
            except Unwanted:
                logger.info("speech_unwanted", backend=backend.name, ms=len(made) // BYTES_PER_MS)
            except TtsError as caught:
                error = caught
                logger.warning("speech_refused", backend=backend.name, detail=caught.detail)
                if not made:
                    continue
                await speeches.append(speech_id, number, f=error.code, m=error.message)
            await self._settle(backend, sentence, len(made) // BYTES_PER_MS)
            return
        await speeches.append(speech_id, number, f=error.code, m=error.message)

    async def _audio(self, backend: TtsBackend, sentence: Sentence) -> AsyncGenerator[bytes]:
        """The audio in pieces of whole samples, from the cache where it is there. Raises `TtsError`."""
        known = self.cache.get(_key(backend, sentence))
        if known is not None:
            for start in range(0, len(known), PIECE):
                yield known[start : start + PIECE]
            return
        config = SpeechConfig(sentence.voice, sentence.speed, sentence.language)
        waiting, total = b"", 0
        async with aclosing(backend.speak(sentence.text, config)) as pieces:
            async for piece in pieces:
                waiting += piece
                whole = len(waiting) // 2 * 2
                for start in range(0, whole, PIECE):
                    yield waiting[start : min(start + PIECE, whole)]
                waiting, total = waiting[whole:], total + whole
                if total > LONGEST_MS * BYTES_PER_MS:
                    raise unavailable("a sentence has no end")
        if not total:
            raise unavailable("the answer has no audio")

    async def _settle(self, backend: TtsBackend, sentence: Sentence, ms: int) -> None:
        """Counts the seconds in quotas and the ledger: those that were spoken, also if nobody heard them to the end."""
        if not ms:
            return
        used = Used(backend.model, backend.endpoint, audio_seconds=Decimal(ms) / 1000)
        try:
            await in_db(_settle, sentence, used)
        except (*OUTAGE, django.db.Error) as error:  # or the listener was erased meanwhile
            logger.warning("speech_not_counted", ms=ms, error=type(error).__name__)

    async def aclose(self) -> None:
        for backend in self.backends:
            await backend.aclose()


def _settle(sentence: Sentence, used: Used) -> None:
    settle_background(sentence.user_id, timezone.now(), used, purpose=PURPOSE, conversation_id=sentence.conversation_id)


def _key(backend: TtsBackend, sentence: Sentence) -> tuple[object, ...]:
    return (backend.name, backend.model, sentence.voice, sentence.speed, sentence.language, sentence.text)

"""One recording on this worker, from the claim to the end: a recogniser opens, audio goes in, transcripts come out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import django.db
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from chat.voice import recordings
from chat.voice.recordings import ClaimedRecording
from workers.asr.base import AsrConfig, AsrError
from workers.asr.chain import Chain, ChainedSession
from workers.speech.audio_input import AudioInput
from workers.speech.dictation import Dictation
from workers.speech.publishing import RecordingPublisher
from workers.speech.recording_end import RecordingEnd
from workers.speech.transcripts import Transcripts

MAX_UTTERANCE_MS: Final = 30_000
DRAIN_SECONDS: Final = 8.0  # for the recogniser to finish the utterance in progress

logger = structlog.get_logger(__name__)


class TranscriptionSession:
    """`owner`: the worker that renews the recording's lease. `spawn` runs a coroutine that nobody waits for."""

    def __init__(
        self,
        recording: ClaimedRecording,
        chain: Chain,
        *,
        owner: str,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.recording = recording
        self.end = RecordingEnd()
        self._chain = chain
        self._owner = owner
        self._asr: ChainedSession | None = None
        self._publisher = RecordingPublisher(recording)
        self._dictation = Dictation(recording)
        self._input = AudioInput(recording, self._publisher, self.end)
        self._transcripts = Transcripts(recording, self._publisher, self._dictation, spawn)

    async def run(self) -> None:
        """Raises nothing."""
        lease = asyncio.create_task(self._keep_lease())
        try:
            if await self._open():
                await self._listen()
        except (*OUTAGE, django.db.Error) as error:  # or the speaker was erased meanwhile
            logger.warning("recording_lost", recording=str(self.recording.id), error=type(error).__name__)
            self.end.stop("failed")
        except Exception:
            logger.exception("recording_crashed", recording=str(self.recording.id))
            self.end.stop("failed")
        finally:
            lease.cancel()
            await self._close()
            await self._input.store()

    async def _open(self) -> bool:
        """Whether a recogniser was opened."""
        config = AsrConfig(
            language=self.recording.language,
            endpoint_silence_ms=settings.ASR_SILENCE_MS,
            max_utterance_ms=MAX_UTTERANCE_MS,
            vocabulary=tuple(settings.ASR_KEYWORDS),
        )
        await recordings.renew(self.recording, self._owner)
        try:
            self._asr = await self._chain.open(config)
        except AsrError as error:
            self.end.fail(error)
            await self._publisher.publish_refused(error)
            return False
        await self._publisher.publish_opened(
            backend=self._asr.backend,
            max_utterance_ms=MAX_UTTERANCE_MS,
            max_recording_ms=int(self._input.granted * 1000),
        )
        return True

    async def _listen(self) -> None:
        """Until something ends the recording; then the utterance in progress is finished, unless it was cancelled."""
        asr = self._asr
        assert asr is not None
        reader = asyncio.create_task(self._read_events(asr))
        pump = asyncio.create_task(self._input.run(asr))
        try:
            await asyncio.wait({pump, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not pump.done():
                pump.cancel()  # the recogniser has ended and cannot be opened again
                await asyncio.wait({pump})
            elif (error := pump.exception()) is not None and not isinstance(error, AsrError):
                raise error
            await asr.aclose(drain=not self.end.cancelled, timeout=DRAIN_SECONDS)
            await asyncio.wait({reader}, timeout=DRAIN_SECONDS)
            if not self.end.cancelled:
                await self._dictation.finish()
        finally:
            for task in (pump, reader):
                task.cancel()
            await asyncio.gather(pump, reader, return_exceptions=True)
            await asr.aclose(drain=False)
            self._transcripts.cancel_partial()

    async def _read_events(self, asr: ChainedSession) -> None:
        try:
            async for event in asr:
                if not self.end.cancelled:
                    await self._transcripts.handle(event)
        except AsrError as error:
            self.end.fail(error)

    async def _keep_lease(self) -> None:
        while True:
            with lasting("recording_lease_not_renewed"):
                await recordings.renew(self.recording, self._owner)
            await asyncio.sleep(recordings.RENEW_SECONDS)

    async def _close(self) -> None:
        """Finishes the recording's row, tells the speaker, and frees the place of the recording."""
        end, audio_ms = self.end, self._input.audio_ms
        backend = self._asr.backend if self._asr is not None else ""
        try:
            await in_db(
                recordings.finish,
                self.recording.id,
                end.status,
                reason=end.code,
                audio_ms=audio_ms,
                backend=backend,
            )
            if self._asr is not None:
                await self._publisher.publish_closed(end, audio_ms)
            await recordings.release(self.recording.user_id, self.recording.id)
        except (*OUTAGE, django.db.Error) as error:
            logger.warning("recording_not_closed", recording=str(self.recording.id), error=type(error).__name__)
        logger.info(
            "recording_ended",
            recording=str(self.recording.id),
            reason=end.reason or "failed",
            backend=backend,
            audio_ms=audio_ms,
            detail=end.error.detail if end.error else "",
        )

"""One recording, told as a story: claimed → a recogniser opens → audio in, events out → the end. On the worker's loop.

Audio comes from the recording's Redis Stream, which keeps 5 s: while the recogniser is behind, the oldest audio is
lost there, and the places of the frames tell how much.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal

import django.db
import redis
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.quotas.reservations import QuotaFull, reserve_more_audio
from chat.eventlog import store
from chat.models import RecordingStatus
from chat.protocol.audio_frames import BYTES_PER_MS, FRAME_MS
from chat.protocol.frames import encode_event
from chat.voice import audio_files, recordings
from chat.voice.recordings import Claimed, notice
from workers.asr.base import AsrConfig, AsrError, AsrEvent
from workers.asr.chain import Chain, ChainedSession
from workers.asr.registry import open_chain
from workers.asr.stabilizer import Stabilizer
from workers.speech.dictation import Dictation
from workers.speech.wav_file import Tape

MAX_UTTERANCE_MS: Final = 30_000
IDLE_SECONDS: Final = 15.0  # without any audio: the client is gone, and so is the process that would have said so
DRAIN_SECONDS: Final = 8.0
PARTIAL_SECONDS: Final = 0.1  # between two partials; the newest wins
BEHIND_MS: Final = 2_000

Reason = Literal["stopped", "cancelled", "idle", "limit", "quota_exceeded", "failed", "worker_stopped"]
logger = structlog.get_logger(__name__)


class Transcriber:
    """This process's recognisers and the recordings it listens to."""

    def __init__(self, owner: str, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.owner = owner
        self.chain: Chain = open_chain()
        self.active: dict[uuid.UUID, Transcription] = {}
        self.draining = False
        self.spawn = spawn

    async def prepare(self) -> None:
        """Loads models, so that nobody who speaks waits for one."""
        await self.chain.prepare()

    async def tell(self, recording_id: uuid.UUID) -> None:
        if self.draining:
            return
        claimed = await in_db(recordings.claim, recording_id)
        if claimed is None:
            return
        structlog.contextvars.bind_contextvars(user=str(claimed.user_id))
        if claimed.conversation_id is not None:
            structlog.contextvars.bind_contextvars(conversation=str(claimed.conversation_id))
        transcription = self.active[recording_id] = Transcription(self, claimed)
        try:
            await transcription.tell()
        finally:
            del self.active[recording_id]

    async def aclose(self) -> None:
        """Finishes what is being said, then closes the recognisers."""
        self.draining = True
        for transcription in self.active.values():
            transcription.stop("worker_stopped")
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self.chain.aclose()


class Transcription:
    """A recording this worker listens to."""

    def __init__(self, transcriber: Transcriber, recording: Claimed) -> None:
        self.transcriber = transcriber
        self.recording = recording
        self.dictation = Dictation(recording)
        self.heard_bytes = 0  # place in the recording, lost audio included
        self.said = ""  # why it ended, to the person who speaks
        self.granted = min(recording.seconds or settings.RECORDING_SECONDS, settings.RECORDING_SECONDS)  # seconds
        self._tape = Tape() if recording.days_kept else None
        self._session: ChainedSession | None = None
        self._reason: Reason | None = None
        self._error: AsrError | None = None
        self._stabilizer = Stabilizer()
        self._partial: AsrEvent | None = None
        self._partial_timer: asyncio.TimerHandle | None = None
        self._partial_at = 0.0
        self._revision = 0
        self._behind = False
        self._telling = asyncio.Lock()  # what is told keeps its order
        self._ended = 0  # the last utterance whose final was told

    def _is_over(self) -> bool:
        return self._reason is not None

    def stop(self, reason: Reason) -> None:
        """The first reason counts."""
        self._reason = self._reason or reason

    # --- the story ----------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """From the claim to the end. Raises nothing."""
        lease = asyncio.create_task(self._keep_lease())
        try:
            if await self._open():
                await self._listen()
        except (*OUTAGE, django.db.Error) as error:  # or its person was erased while they spoke
            logger.warning("recording_lost", recording=str(self.recording.id), error=type(error).__name__)
            self.stop("failed")
        except Exception:
            logger.exception("recording_crashed", recording=str(self.recording.id))
            self.stop("failed")
        finally:
            lease.cancel()
            await self._close()
            await self._store()

    async def _open(self) -> bool:
        config = AsrConfig(
            language=self.recording.language,
            endpoint_silence_ms=settings.ASR_SILENCE_MS,
            max_utterance_ms=MAX_UTTERANCE_MS,
        )
        await recordings.renew(self.recording, self.transcriber.owner)
        try:
            self._session = await self.transcriber.chain.open(config)
        except AsrError as error:
            self._error = error
            self.stop("failed")
            await recordings.tell(self.recording, "refused", code=error.code, message=error.message)
            return False
        limits = {
            "max_utterance_ms": MAX_UTTERANCE_MS,
            "max_recording_ms": int(self.granted * 1000),
            "frame_ms": FRAME_MS,
            "kept_days": self.recording.days_kept,
        }
        await recordings.tell(
            self.recording,
            "opened",
            backend=self._session.backend,
            language=self.recording.language,
            limits=limits,
        )
        return True

    async def _listen(self) -> None:
        assert self._session is not None
        reader = asyncio.create_task(self._read_events(self._session))
        pump = asyncio.create_task(self._pump(self._session))
        try:
            await asyncio.wait({pump, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not pump.done():
                pump.cancel()  # the recogniser is gone for good
                await asyncio.wait({pump})
            elif (error := pump.exception()) is not None and not isinstance(error, AsrError):
                raise error
            await self._session.aclose(drain=self._reason != "cancelled", timeout=DRAIN_SECONDS)
            await asyncio.wait({reader}, timeout=DRAIN_SECONDS)
            if self._reason != "cancelled":
                await self.dictation.finish()
        finally:
            for task in (pump, reader):
                task.cancel()
            await asyncio.gather(pump, reader, return_exceptions=True)
            await self._session.aclose(drain=False)
            if self._partial_timer is not None:
                self._partial_timer.cancel()

    async def _keep_lease(self) -> None:
        while True:
            try:
                await recordings.renew(self.recording, self.transcriber.owner)
            except (redis.RedisError, OSError) as error:
                logger.warning("recording_lease_waits", error=type(error).__name__)
            await asyncio.sleep(recordings.RENEW_SECONDS)

    async def _close(self) -> None:
        reason = self._reason or "failed"
        status = {"failed": RecordingStatus.FAILED, "cancelled": RecordingStatus.CANCELLED}.get(
            reason, RecordingStatus.DONE
        )
        audio_ms = self.heard_bytes // BYTES_PER_MS
        backend = self._session.backend if self._session is not None else ""
        code = self._error.code if self._error is not None and status is RecordingStatus.FAILED else ""
        try:
            await in_db(
                recordings.finish, self.recording.id, status, reason=code or reason, audio_ms=audio_ms, backend=backend
            )
            if self._session is not None:
                if self._error is not None:
                    await recordings.tell(self.recording, "failed", code=self._error.code, message=self._error.message)
                said = {"message": self.said} if self.said else {}
                frame = notice("audio.closed", self.recording.id, reason=reason, audio_ms=audio_ms, **said)
                await recordings.tell(self.recording, "closed", frame=frame)
            await recordings.release(self.recording.user_id, self.recording.id)
        except (*OUTAGE, django.db.Error) as error:
            logger.warning("recording_unclosed", recording=str(self.recording.id), error=type(error).__name__)
        logger.info(
            "recording_ended",
            recording=str(self.recording.id),
            reason=reason,
            backend=backend,
            audio_ms=audio_ms,
            detail=self._error.detail if self._error else "",
        )

    # --- in -----------------------------------------------------------------------------------------------------

    async def _pump(self, session: ChainedSession) -> None:
        """Audio from Redis to the recogniser, until something ends it."""
        after, last_audio = "0", time.monotonic()
        while not self._is_over():
            try:
                entries = await recordings.read(self.recording.id, after)
            except (redis.RedisError, OSError) as error:
                logger.warning("audio_read_waits", error=type(error).__name__)
                await asyncio.sleep(0.3)
                entries = []
            await self._note_backlog(sum(len(entry.pcm) for _, entry in entries))
            for place, entry in entries:
                after, last_audio = place, time.monotonic()
                if entry.command:
                    await self._obey(entry.command, session)
                elif entry.offset >= self.heard_bytes:  # else sent twice, after a lost reply
                    await self._note_gap(entry.offset)
                    self.heard_bytes = entry.offset + len(entry.pcm)
                    self._keep(entry.offset, entry.pcm)
                    await session.send(entry.pcm)
                    if self.heard_bytes >= self.granted * 1000 * BYTES_PER_MS:
                        await self._go_on()
                if self._is_over():
                    return
            if time.monotonic() - last_audio > IDLE_SECONDS:
                self.stop("idle")

    def _keep(self, offset: int, pcm: bytes) -> None:
        if self._tape is not None:
            try:
                self._tape.write(offset, pcm)
            except OSError as error:
                logger.exception("audio_not_kept", recording=str(self.recording.id), error=type(error).__name__)
                self._tape = None

    async def _store(self) -> None:
        """What was said, where it is kept. What was thrown away is not."""
        tape, self._tape = self._tape, None
        if tape is None:
            return
        try:
            if self._reason != "cancelled" and self.heard_bytes:
                await in_db(audio_files.keep, self.recording.id, tape.finish())
        except OUTAGE as error:
            logger.warning("audio_not_kept", recording=str(self.recording.id), error=type(error).__name__)
        finally:
            tape.discard()

    async def _go_on(self) -> None:
        """As far as it was granted; further, where more has become free since."""
        wanted = settings.RECORDING_SECONDS - self.granted
        if wanted <= 0:
            self.stop("limit")
            return
        try:
            self.granted += await in_db(reserve_more_audio, self.recording.id, math.ceil(wanted))
        except QuotaFull as full:
            self.said = str(full)
            self.stop("quota_exceeded")

    async def _obey(self, command: str, session: ChainedSession) -> None:
        if command == "flush":
            await session.flush()
        elif command == "stop":
            self.stop("stopped")
        elif command == "cancel":
            self.stop("cancelled")

    async def _note_gap(self, offset: int) -> None:
        if offset > self.heard_bytes:
            await self._warn("audio_dropped", (offset - self.heard_bytes) // BYTES_PER_MS)

    async def _note_backlog(self, waiting: int) -> None:
        behind = waiting > BEHIND_MS * BYTES_PER_MS
        if behind and not self._behind:
            await self._warn("falling_behind", waiting // BYTES_PER_MS)
        self._behind = behind

    async def _warn(self, code: str, ms: int) -> None:
        await self._notify("audio.warning", code=code, ms=ms)

    # --- out ----------------------------------------------------------------------------------------------------

    async def _read_events(self, session: ChainedSession) -> None:
        try:
            async for event in session:
                if self._reason != "cancelled":
                    await self._handle(event)
        except AsrError as error:
            self._error = error
            self.stop("failed")

    async def _handle(self, event: AsrEvent) -> None:
        if event.kind == "partial":
            self._offer_partial(event)
        elif event.kind == "final":
            await self._show_final(event)
        elif event.kind == "reconnected":
            await self._warn("backend_reconnected", event.at_ms)
        else:
            if event.kind == "speech_started":
                self._stabilizer, self._revision = Stabilizer(), 0
            kind = "speech.started" if event.kind == "speech_started" else "speech.stopped"
            await self._notify(kind, utterance=event.utterance, at_ms=event.at_ms)

    def _offer_partial(self, event: AsrEvent) -> None:
        """Shows it now, or the newest one when the last was less than 0.1 s ago."""
        self._partial = event
        if self._partial_timer is None:
            delay = max(self._partial_at + PARTIAL_SECONDS - time.monotonic(), 0)
            self._partial_timer = asyncio.get_running_loop().call_later(delay, self._show_partial)

    def _show_partial(self) -> None:
        self._partial_timer = None
        event, self._partial = self._partial, None
        if event is None:
            return
        self._partial_at = time.monotonic()
        self._revision += 1
        fields = {
            "utterance": event.utterance,
            "rev": self._revision,
            "text": event.text,
            "stable_chars": self._stabilizer.offer(event.text, self._partial_at * 1000),
        }
        self.transcriber.spawn(self._tell_partial(fields))

    async def _tell_partial(self, fields: dict[str, Any]) -> None:
        async with self._telling:
            if fields["utterance"] > self._ended:
                await self._notify("transcript.partial", light=True, **fields)

    async def _show_final(self, event: AsrEvent) -> None:
        self._partial = None
        async with self._telling:
            self._ended = event.utterance
            await self._keep_final(event)
        if self.recording.auto_send and event.text:
            self.dictation.say(event.utterance, event.text)

    async def _keep_final(self, event: AsrEvent) -> None:
        await in_db(
            recordings.keep_utterance,
            self.recording.id, event.utterance, event.text, event.start_ms, event.end_ms, event.confidence,
        )  # fmt: skip
        fields: dict[str, Any] = {
            "recording_id": str(self.recording.id),
            "utterance": event.utterance,
            "text": event.text,
            "start_ms": event.start_ms,
            "end_ms": event.end_ms,
        }
        if event.confidence is not None:
            fields["confidence"] = event.confidence
        conversation = self.dictation.conversation_id
        if conversation is None:
            await self._notify("transcript.final", **{k: v for k, v in fields.items() if k != "recording_id"})
        else:
            body = encode_event({"type": "transcript.final", "conversation_id": str(conversation), **fields})
            await store.append(store.Append(conversation, [(body, False)]))

    async def _notify(self, kind: str, *, light: bool = False, **fields: Any) -> None:
        """A frame for all of the user's sockets. What Redis does not take is not said."""
        frame = notice(kind, self.recording.id, **fields)
        try:
            await recordings.tell(self.recording, "notice", frame=frame, light=light)
        except (redis.RedisError, OSError) as error:
            logger.warning("notice_lost", kind=kind, error=type(error).__name__)

"""Passes the audio of a recording on to its recogniser.

The audio comes from the recording's Redis Stream, which holds 5 s. While the recogniser is behind, the oldest audio is
lost there; the offsets of the entries show how much.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

import redis
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.quotas.reservations import QuotaFull, reserve_more_audio
from chat.protocol.audio_frames import BYTES_PER_MS
from chat.voice import audio_files, recordings
from chat.voice.recordings import ClaimedRecording
from workers.asr.base import AsrSession
from workers.speech.publishing import RecordingPublisher
from workers.speech.recording_end import RecordingEnd
from workers.speech.wav_file import WavFile

IDLE_SECONDS: Final = 15.0  # without any audio: the client is gone, and so is the web process that would report it
RETRY_SECONDS: Final = 0.3
BEHIND_MS: Final = 2_000

logger = structlog.get_logger(__name__)


class AudioInput:
    """`granted`: seconds that the recording may last, as far as they are reserved in the speaker's quotas."""

    def __init__(self, recording: ClaimedRecording, publisher: RecordingPublisher, end: RecordingEnd) -> None:
        self._recording = recording
        self._publisher = publisher
        self._end = end
        self.granted = min(recording.seconds or settings.RECORDING_SECONDS, settings.RECORDING_SECONDS)
        self._file = WavFile() if recording.days_kept else None
        self._position = 0  # bytes from the recording's start, lost audio included
        self._behind = False

    @property
    def audio_ms(self) -> int:
        """The length of the recording so far, lost audio included."""
        return self._position // BYTES_PER_MS

    async def run(self, session: AsrSession) -> None:
        """Reads audio and commands until the recording ends. Raises `AsrError` where the recogniser is gone."""
        after, last_audio = "0", time.monotonic()
        while not self._end.is_over():
            try:
                entries = await recordings.read(self._recording.id, after)
            except (redis.RedisError, OSError) as error:
                logger.warning("audio_read_failed", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                entries = []
            await self._check_backlog(sum(len(entry.pcm) for _, entry in entries))
            for entry_id, entry in entries:
                after, last_audio = entry_id, time.monotonic()
                if entry.command:
                    await self._carry_out(entry.command, session)
                elif entry.offset >= self._position:  # else sent twice, after a lost reply
                    await self._check_gap(entry.offset)
                    self._position = entry.offset + len(entry.pcm)
                    self._write(entry.offset, entry.pcm)
                    await session.send(entry.pcm)
                    if self._position >= self.granted * 1000 * BYTES_PER_MS:
                        await self._extend()
                if self._end.is_over():
                    return
            if time.monotonic() - last_audio > IDLE_SECONDS:
                self._end.stop("idle")

    async def store(self) -> None:
        """Stores the audio where the speaker's plan keeps it, unless the recording was cancelled."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if not self._end.cancelled and self._position:
                await in_db(audio_files.store_audio, self._recording.id, file.finish())
        except OUTAGE as error:
            logger.warning("audio_not_stored", recording=str(self._recording.id), error=type(error).__name__)
        finally:
            file.discard()

    def _write(self, offset: int, pcm: bytes) -> None:
        if self._file is not None:
            try:
                self._file.write(offset, pcm)
            except OSError as error:
                logger.exception("audio_not_stored", recording=str(self._recording.id), error=type(error).__name__)
                self._file = None

    async def _extend(self) -> None:
        """Ends a recording that has lasted as long as it may, unless more seconds have become free meanwhile."""
        wanted = settings.RECORDING_SECONDS - self.granted
        if wanted <= 0:
            self._end.stop("limit")
            return
        try:
            self.granted += await in_db(reserve_more_audio, self._recording.id, math.ceil(wanted))
        except QuotaFull as full:
            self._end.stop("quota_exceeded", str(full))

    async def _carry_out(self, command: str, session: AsrSession) -> None:
        if command == "flush":
            await session.flush()
        elif command == "stop":
            self._end.stop("stopped")
        elif command == "cancel":
            self._end.stop("cancelled")

    async def _check_gap(self, offset: int) -> None:
        if offset > self._position:
            await self._publisher.warn("audio_dropped", (offset - self._position) // BYTES_PER_MS)

    async def _check_backlog(self, waiting: int) -> None:
        """`waiting`: bytes of audio that were read at once. Warns once each time the recogniser falls behind."""
        behind = waiting > BEHIND_MS * BYTES_PER_MS
        if behind and not self._behind:
            await self._publisher.warn("falling_behind", waiting // BYTES_PER_MS)
        self._behind = behind

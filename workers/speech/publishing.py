"""Sends what happens in a recording to the web process of its socket and to all sockets of its speaker."""

from __future__ import annotations

from typing import Any

import redis
import structlog

from chat.protocol.audio_frames import FRAME_MS
from chat.voice import recordings
from chat.voice.recordings import ClaimedRecording, recording_frame
from workers.asr.base import AsrError
from workers.speech.recording_end import RecordingEnd

logger = structlog.get_logger(__name__)


class RecordingPublisher:
    """The messages of one recording."""

    def __init__(self, recording: ClaimedRecording) -> None:
        self.recording = recording

    async def publish_opened(self, *, backend: str, max_utterance_ms: int, max_recording_ms: int) -> None:
        """Raises an OUTAGE exception while Redis is away."""
        limits = {
            "max_utterance_ms": max_utterance_ms,
            "max_recording_ms": max_recording_ms,
            "frame_ms": FRAME_MS,
            "kept_days": self.recording.days_kept,
        }
        await recordings.notify_user(
            self.recording, "opened", backend=backend, language=self.recording.language, limits=limits
        )

    async def publish_refused(self, error: AsrError) -> None:
        """No recogniser could be opened. Raises an OUTAGE exception while Redis is away."""
        await recordings.notify_user(self.recording, "refused", code=error.code, message=error.message)

    async def publish_closed(self, end: RecordingEnd, audio_ms: int) -> None:
        """The end of a recording that had been opened. Raises an OUTAGE exception while Redis is away."""
        if end.error is not None:
            await recordings.notify_user(self.recording, "failed", code=end.error.code, message=end.error.message)
        message = {"message": end.message} if end.message else {}
        frame = recording_frame(
            "audio.closed", self.recording.id, reason=end.reason or "failed", audio_ms=audio_ms, **message
        )
        await recordings.notify_user(self.recording, "closed", frame=frame)

    async def notify(self, kind: str, *, light: bool = False, **fields: Any) -> None:
        """A frame for all of the speaker's sockets. It is lost, with a log line, while Redis is away.

        `light`: may be dropped for a client that is slow.
        """
        frame = recording_frame(kind, self.recording.id, **fields)
        try:
            await recordings.notify_user(self.recording, "notice", frame=frame, light=light)
        except (redis.RedisError, OSError) as error:
            logger.warning("notice_lost", kind=kind, error=type(error).__name__)

    async def warn(self, code: str, ms: int) -> None:
        """`ms`: how much audio it is about."""
        await self.notify("audio.warning", code=code, ms=ms)

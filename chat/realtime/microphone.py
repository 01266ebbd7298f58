"""The recordings of one connection: their commands, their audio on its way to Redis, and their worker's messages.

Audio frames are checked and passed on, never decoded here. One task writes them to Redis in batches; while Redis is
away they wait, up to 5 s of audio.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import redis
import structlog
from django.utils.translation import gettext as _

from accounts import features
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models import RecordingStatus
from chat.protocol.audio_frames import BYTES_PER_MS, parse_frame
from chat.protocol.commands import AudioCancel, AudioFlush, AudioStart, AudioStop
from chat.protocol.errors import AsrUnavailable, Busy, ChatError, Invalid, NotFound
from chat.realtime.connection import Connection, Handlers, Reply
from chat.realtime.recorder import Recorder
from chat.voice import recordings
from chat.voice.intake import AudioChunk, Intake

OPEN_SECONDS: Final = 15.0  # a worker answers within
ORPHAN_SECONDS: Final = 8.0  # without a worker's lease, before the recording is ended
LATE_SECONDS: Final = 5.0  # frames of a recording that the server closed are on their way so long
COMPLAINT_SECONDS: Final = 1.0  # between two errors about the same recording's frames

logger = structlog.get_logger(__name__)

Fail = Callable[[ChatError, str | None], None]


class Microphone:
    """Records one recording at a time; earlier ones may still be transcribed to their end."""

    def __init__(self, connection: Connection, user_id: uuid.UUID, address: str, *, reply: Reply, fail: Fail) -> None:
        self._connection = connection
        self._user_id = user_id
        self._address = address
        self._reply = reply
        self._fail = fail
        self._recorder: Recorder | None = None
        self._recorders: dict[str, Recorder] = {}  # by recording id, until closed
        self._streams = 0
        self._ended = (-1, 0.0)  # stream that the server closed, and when

    # --- commands -----------------------------------------------------------------------------------------------

    async def flush(self, command: AudioFlush) -> None:
        """Asks for a final transcript of the audio so far."""
        self._current(command.recording_id).command("flush")
        self._reply({"type": "ok"}, command.ref)

    async def stop(self, command: AudioStop) -> None:
        """Ends the recording; what was said is still transcribed. It may be another connection's of the same user, as
        after one that was lost, perhaps with its web process.
        """
        if command.recording_id.hex in self._recorders or not await self._stop_elsewhere(command.recording_id):
            await self._stop_and_free(self._current(command.recording_id), "stop")
        self._reply({"type": "ok"}, command.ref)

    async def cancel(self, command: AudioCancel) -> None:
        """Ends the recording and discards it."""
        await self._stop_and_free(self._current(command.recording_id), "cancel")
        self._reply({"type": "ok"}, command.ref)

    def _current(self, recording_id: uuid.UUID) -> Recorder:
        recorder = self._recorder
        if recorder is None or recorder.id != recording_id:
            raise NotFound(_("That recording is not in progress on this connection."))
        return recorder

    async def _stop_elsewhere(self, recording_id: uuid.UUID) -> bool:
        """Whether it was in progress on another connection of this user's."""
        if not await recordings.free_microphone(self._user_id, recording_id):
            return False
        await recordings.send(recording_id, [AudioChunk(0, command="stop")])
        return True

    async def start(self, command: AudioStart) -> None:
        if not await in_db(features.voice_is_on):
            raise AsrUnavailable(_("Speech recognition is turned off on this server."))
        if self._recorder is not None and not self._recorder.stopping:
            raise Busy(_("A recording is already in progress on this connection."))
        self._streams = (self._streams + 1) % 65536
        recorder = self._recorder = Recorder(self._streams, command.ref)
        try:
            recorder.id = await recordings.begin(self._user_id, command, self._address)
        except BaseException:
            if self._recorder is recorder:
                self._recorder = None
            raise
        self._recorders[recorder.id.hex] = recorder
        self._connection.spawn(self._pass_on(recorder))
        for message in recorder.early:
            if message["recording"] == recorder.id.hex:
                self.on_layer(message)

    def _stop(self, recorder: Recorder, how: str) -> None:
        if not recorder.stopping:
            recorder.stopping = True
            recorder.command(how)

    async def _stop_and_free(self, recorder: Recorder, how: str) -> None:
        self._stop(recorder, how)
        await self._free(recorder)

    async def _free(self, recorder: Recorder) -> None:
        """The user can begin the next recording at once, in whatever tab."""
        assert recorder.id is not None
        try:
            await recordings.free_microphone(self._user_id, recorder.id)
        except (redis.RedisError, OSError) as error:
            logger.warning("microphone_not_freed", error=type(error).__name__, note="its worker does, at its end")

    async def end(self) -> None:
        """The connection has closed. What was said so far is still transcribed."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None and recorder.id is not None and not recorder.closed and not recorder.stopping:
            recorder.command("stop")
            try:
                await recordings.send(recorder.id, recorder.backlog.take())
            except (redis.RedisError, OSError) as error:
                logger.warning("recording_stop_failed", error=type(error).__name__, note="its worker times out")
            await self._free(recorder)

    # --- frames -------------------------------------------------------------------------------------------------

    def on_bytes(self, data: bytes) -> None:
        """Takes one binary frame. Audio that comes too fast is dropped. Raises `Invalid` or `TooLarge`."""
        frame = parse_frame(data)
        recorder = self._recorder
        now = time.monotonic()
        if recorder is None or frame.stream != recorder.stream:
            if self._ended[0] == frame.stream and now - self._ended[1] < LATE_SECONDS:
                return
            raise Invalid(_("This audio belongs to no recording in progress."))
        if recorder.intake is None:
            raise Invalid(_("Audio may only be sent after `audio.started`."))
        if recorder.stopping:
            raise Invalid(_("This recording was stopped."))
        self._connection.last_used = now
        offset = recorder.intake.audio_bytes
        try:
            missing = recorder.intake.take(frame, now)
        except ChatError as error:
            if error.code == "invalid":
                raise
            if now - recorder.complained >= COMPLAINT_SECONDS:
                recorder.complained = now
                self._fail(error, None)
            return
        if missing:
            self._warn(recorder, "audio_gap", missing)
        if frame.pcm:
            recorder.push(AudioChunk(offset, frame.pcm))
        if frame.last:
            self._stop(recorder, "stop")

    def _warn(self, recorder: Recorder, code: str, ms: int) -> None:
        assert recorder.id is not None
        self._connection.put(recordings.recording_frame("audio.warning", recorder.id, code=code, ms=ms))

    async def _pass_on(self, recorder: Recorder) -> None:
        """Writes to Redis until the recording is closed; ends it when no worker listens to it."""
        assert recorder.id is not None
        listened = time.monotonic()
        limit = OPEN_SECONDS
        while not recorder.closed:
            try:
                async with asyncio.timeout(1):
                    await recorder.wake.wait()
            except TimeoutError:
                pass
            recorder.wake.clear()
            entries = recorder.backlog.take()
            try:
                attended = await recordings.send(recorder.id, entries)
            except (redis.RedisError, OSError) as error:
                logger.warning("audio_write_delayed", error=type(error).__name__)
                recorder.backlog.give_back(entries)
                await asyncio.sleep(0.2)
                attended = False
            now = time.monotonic()
            if attended:
                listened, limit = now, ORPHAN_SECONDS
            elif now - listened > limit and not recorder.closed:
                await self._abandon(recorder)

    async def _abandon(self, recorder: Recorder) -> None:
        """Ends a recording that no worker listens to, or no longer."""
        assert recorder.id is not None
        logger.warning("recording_abandoned", recording=str(recorder.id), opened=recorder.opened)
        audio_ms = recorder.intake.audio_bytes // BYTES_PER_MS if recorder.intake else 0
        self._close(recorder)
        try:
            await in_db(recordings.finish, recorder.id, RecordingStatus.FAILED, reason="worker_lost", audio_ms=audio_ms)
            await recordings.release(self._user_id, recorder.id)
        except OUTAGE as error:
            logger.warning("recording_close_failed", recording=str(recorder.id), error=type(error).__name__)
        self._fail(AsrUnavailable(), None if recorder.opened else recorder.ref)
        if recorder.opened:
            self._connection.put(
                recordings.recording_frame("audio.closed", recorder.id, reason="worker_lost", audio_ms=audio_ms)
            )

    def _close(self, recorder: Recorder) -> None:
        recorder.closed = True
        recorder.wake.set()
        if recorder.id is not None:
            self._recorders.pop(recorder.id.hex, None)
        self._ended = (recorder.stream, time.monotonic())
        if self._recorder is recorder:
            self._recorder = None

    def is_recording(self, message: dict[str, Any]) -> bool:
        """Whether a message of the channel layer is about a recording of this connection."""
        return message["recording"] in self._recorders

    # --- from the worker ----------------------------------------------------------------------------------------

    def on_layer(self, message: dict[str, Any]) -> None:
        """Handles a worker's message about one of the user's recordings. All sockets of the user get them."""
        LAYER_HANDLERS[message["type"]](self, message)

    def _recorder_of(self, message: dict[str, Any]) -> Recorder | None:
        """The recorder of a message; None if it is another connection's, or not known yet."""
        recorder = self._recorders.get(message["recording"])
        if recorder is None and self._recorder is not None and self._recorder.id is None:
            self._recorder.early.append(message)  # the worker was quicker than our own enqueueing
        return recorder

    def on_notice(self, message: dict[str, Any]) -> None:
        if message["light"]:
            self._connection.put_ephemeral(message["frame"])
        else:
            self._connection.put(message["frame"])

    def on_opened(self, message: dict[str, Any]) -> None:
        recorder = self._recorder_of(message)
        if recorder is None or recorder.opened:
            return
        recorder.opened = True
        recorder.intake = Intake(time.monotonic())
        self._reply(
            {
                "type": "audio.started",
                "recording_id": str(recorder.id),
                "stream": recorder.stream,
                "backend": message["backend"],
                "language": message["language"],
                "limits": message["limits"],
            },
            recorder.ref,
        )

    def on_refused(self, message: dict[str, Any]) -> None:
        if (recorder := self._recorder_of(message)) is not None:
            self._fail(AsrUnavailable(message["message"], code=message["code"]), recorder.ref)
            self._close(recorder)

    def on_failed(self, message: dict[str, Any]) -> None:
        if self._recorder_of(message) is not None:
            self._fail(AsrUnavailable(message["message"], code=message["code"]), None)

    def on_closed(self, message: dict[str, Any]) -> None:
        self._connection.put(message["frame"])
        if (recorder := self._recorder_of(message)) is not None:
            self._close(recorder)


HANDLERS: Final[Handlers[Microphone]] = {
    AudioStart: Microphone.start,
    AudioFlush: Microphone.flush,
    AudioStop: Microphone.stop,
    AudioCancel: Microphone.cancel,
}

LAYER_HANDLERS: Final[dict[str, Callable[[Microphone, dict[str, Any]], None]]] = {
    "recording.notice": Microphone.on_notice,
    "recording.opened": Microphone.on_opened,
    "recording.refused": Microphone.on_refused,
    "recording.failed": Microphone.on_failed,
    "recording.closed": Microphone.on_closed,
}

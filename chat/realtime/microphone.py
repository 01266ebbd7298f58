"""The recording of one socket: its commands, its frames on their way to Redis, and what its worker says.

Frames are checked and passed on, never decoded here. Redis is written by one task, a batch at a time; what it cannot
take waits, 5 s at the most.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import redis
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models import RecordingStatus
from chat.protocol.audio_frames import BYTES_PER_MS, parse_frame
from chat.protocol.commands import AudioCancel, AudioFlush, AudioStart, AudioStop
from chat.protocol.errors import AsrUnavailable, Busy, ChatError, Invalid, NotFound
from chat.realtime.connection import Socket
from chat.voice import recordings
from chat.voice.intake import AudioChunk, Backlog, Intake

OPEN_SECONDS: Final = 15.0  # a worker answers within
ORPHAN_SECONDS: Final = 8.0  # without a worker's lease: it is gone
LATE_SECONDS: Final = 5.0  # frames of a recording that the server closed are on their way so long
COMPLAINT_SECONDS: Final = 1.0  # between two errors about the same recording's frames

logger = structlog.get_logger(__name__)

Command = AudioStart | AudioFlush | AudioStop | AudioCancel
Reply = Callable[[dict[str, Any], str | None], None]
Fail = Callable[[ChatError, str | None], None]


@dataclass(slots=True)
class Take:
    """A recording in progress."""

    stream: int
    ref: str | None
    id: uuid.UUID | None = None
    opened: bool = False
    stopping: bool = False
    closed: bool = False
    intake: Intake | None = None
    backlog: Backlog = field(default_factory=Backlog)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    early: list[dict[str, Any]] = field(default_factory=list)
    complained: float = 0.0

    def push(self, entry: AudioChunk) -> None:
        self.backlog.push(entry)
        self.wake.set()

    def command(self, name: str) -> None:
        self.push(AudioChunk(self.intake.audio_bytes if self.intake else 0, command=name))


class Microphone:
    """What a socket records: one recording at a time, while earlier ones may still be heard to their end."""

    def __init__(self, socket: Socket, user_id: uuid.UUID, *, reply: Reply, fail: Fail) -> None:
        self._socket = socket
        self._user_id = user_id
        self._reply = reply
        self._fail = fail
        self._take: Take | None = None
        self._takes: dict[str, Take] = {}  # by recording id, until closed
        self._streams = 0
        self._ended = (-1, 0.0)  # stream that the server closed, and when

    # --- commands -----------------------------------------------------------------------------------------------

    async def carry_out(self, command: Command) -> None:
        if isinstance(command, AudioStart):
            await self._start(command)
            return
        take = self._take
        if take is None or take.id != command.recording_id:
            raise NotFound("That recording is not in progress here.")
        if isinstance(command, AudioFlush):
            take.command("flush")
        else:
            self._stop(take, "cancel" if isinstance(command, AudioCancel) else "stop")
        self._reply({"type": "ok"}, command.ref)

    async def _start(self, command: AudioStart) -> None:
        if not settings.ASR_BACKENDS:
            raise AsrUnavailable("Speech recognition is switched off on this server.")
        if self._take is not None and not self._take.stopping:
            raise Busy("A recording is in progress on this connection already.")
        self._streams = (self._streams + 1) % 65536
        take = self._take = Take(self._streams, command.ref)
        try:
            take.id = await recordings.begin(self._user_id, command)
        except BaseException:
            if self._take is take:
                self._take = None
            raise
        self._takes[take.id.hex] = take
        self._socket.spawn(self._pass_on(take))
        for message in take.early:
            if message["recording"] == take.id.hex:
                self.on_layer(message)

    def _stop(self, take: Take, how: str) -> None:
        if not take.stopping:
            take.stopping = True
            take.command(how)

    async def gone(self) -> None:
        """The socket closed. What was said so far is still heard to its end."""
        take, self._take = self._take, None
        if take is not None and take.id is not None and not take.closed and not take.stopping:
            take.command("stop")
            try:
                await recordings.send(take.id, take.backlog.take())
            except (redis.RedisError, OSError) as error:
                logger.warning("recording_not_stopped", error=type(error).__name__, note="its worker notices")

    # --- frames -------------------------------------------------------------------------------------------------

    def on_bytes(self, data: bytes) -> None:
        """One binary frame. Raises `Invalid` or `TooLarge`; one that comes too fast is dropped and answered."""
        frame = parse_frame(data)
        take = self._take
        now = time.monotonic()
        if take is None or frame.stream != take.stream:
            if self._ended[0] == frame.stream and now - self._ended[1] < LATE_SECONDS:
                return
            raise Invalid("No recording is in progress for this audio.")
        if take.intake is None:
            raise Invalid("Audio may be sent after `audio.started`, not before.")
        if take.stopping:
            raise Invalid("This recording was stopped.")
        self._socket.last_used = now
        offset = take.intake.audio_bytes
        try:
            missing = take.intake.take(frame, now)
        except ChatError as error:
            if error.code == "invalid":
                raise
            if now - take.complained >= COMPLAINT_SECONDS:
                take.complained = now
                self._fail(error, None)
            return
        if missing:
            self._warn(take, "audio_gap", missing)
        if frame.pcm:
            take.push(AudioChunk(offset, frame.pcm))
        if frame.last:
            self._stop(take, "stop")

    def _warn(self, take: Take, code: str, ms: int) -> None:
        assert take.id is not None
        self._socket.put(recordings.recording_frame("audio.warning", take.id, code=code, ms=ms))

    async def _pass_on(self, take: Take) -> None:
        """Writes to Redis until the recording is closed, and notices when nobody listens."""
        assert take.id is not None
        listened = time.monotonic()
        limit = OPEN_SECONDS
        while not take.closed:
            try:
                async with asyncio.timeout(1):
                    await take.wake.wait()
            except TimeoutError:
                pass
            take.wake.clear()
            entries = take.backlog.take()
            try:
                attended = await recordings.send(take.id, entries)
            except (redis.RedisError, OSError) as error:
                logger.warning("audio_waits", error=type(error).__name__)
                take.backlog.give_back(entries)
                await asyncio.sleep(0.2)
                attended = False
            now = time.monotonic()
            if attended:
                listened, limit = now, ORPHAN_SECONDS
            elif now - listened > limit and not take.closed:
                await self._abandon(take)

    async def _abandon(self, take: Take) -> None:
        """No worker listens (any more)."""
        assert take.id is not None
        logger.warning("recording_abandoned", recording=str(take.id), opened=take.opened)
        audio_ms = take.intake.audio_bytes // BYTES_PER_MS if take.intake else 0
        self._close(take)
        try:
            await in_db(recordings.finish, take.id, RecordingStatus.FAILED, reason="worker_lost", audio_ms=audio_ms)
            await recordings.release(self._user_id, take.id)
        except OUTAGE as error:
            logger.warning("recording_unclosed", recording=str(take.id), error=type(error).__name__)
        self._fail(AsrUnavailable(), None if take.opened else take.ref)
        if take.opened:
            self._socket.put(
                recordings.recording_frame("audio.closed", take.id, reason="worker_lost", audio_ms=audio_ms)
            )

    def _close(self, take: Take) -> None:
        take.closed = True
        take.wake.set()
        if take.id is not None:
            self._takes.pop(take.id.hex, None)
        self._ended = (take.stream, time.monotonic())
        if self._take is take:
            self._take = None

    def made(self, message: dict[str, Any]) -> bool:
        """Whether a message of the layer is about a recording of this socket."""
        return message["recording"] in self._takes

    # --- from the worker ----------------------------------------------------------------------------------------

    def on_layer(self, message: dict[str, Any]) -> None:
        """What a worker says of one of the user's recordings. Notices go to all sockets of the user."""
        kind = message["type"]
        if kind == "recording.notice":
            if message["light"]:
                self._socket.put_ephemeral(message["frame"])
            else:
                self._socket.put(message["frame"])
            return
        if kind == "recording.closed":
            self._socket.put(message["frame"])
        take = self._takes.get(message["recording"])
        if take is None:
            if self._take is not None and self._take.id is None:
                self._take.early.append(message)  # the worker was quicker than our own enqueueing
            return
        if kind == "recording.opened" and not take.opened:
            take.opened = True
            take.intake = Intake(time.monotonic())
            self._reply(
                {
                    "type": "audio.started",
                    "recording_id": str(take.id),
                    "stream": take.stream,
                    "backend": message["backend"],
                    "language": message["language"],
                    "limits": message["limits"],
                },
                take.ref,
            )
        elif kind == "recording.refused":
            self._fail(AsrUnavailable(message["message"], code=message["code"]), take.ref)
            self._close(take)
        elif kind == "recording.failed":
            self._fail(AsrUnavailable(message["message"], code=message["code"]), None)
        elif kind == "recording.closed":
            self._close(take)

"""Audio frames from a browser (docs/protocol.md §2): header, order, pace, and what is kept when it backs up. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from chat.protocol.audio_frames import BYTES_PER_MS, MIN_FRAME_MS, Frame
from chat.protocol.errors import Invalid, RateLimited

PACE: Final = 1.5  # times real time, and a burst for a connection that stalled
BURST_MS: Final = 3_000
BUFFER_MS: Final = 5_000


class Intake:
    """The order and the pace of one recording's frames. Times are seconds."""

    def __init__(self, now: float) -> None:
        self.next_number = 0
        self.audio_bytes = 0  # taken so far
        self._allowance = float(BURST_MS)
        self._at = now

    def take(self, frame: Frame, now: float) -> int:
        """Counts a frame in; how many milliseconds are missing before it. Raises `Invalid` or `RateLimited`."""
        if frame.number < self.next_number:
            raise Invalid(
                _("Audio frame %(number)s came after frame %(next_number)s.")
                % {"number": frame.number, "next_number": self.next_number - 1}
            )
        self._allowance = min(self._allowance + (now - self._at) * 1000 * PACE, BURST_MS)
        self._at = now
        if frame.ms > self._allowance:
            raise RateLimited(_("Audio arrives faster than real time."), retry_after=1)
        self._allowance -= frame.ms
        missing = frame.number - self.next_number
        self.next_number = frame.number + 1
        self.audio_bytes += len(frame.pcm)
        return round(missing * max(frame.ms, MIN_FRAME_MS))


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """One entry of a recording's stream: audio with its place in the recording in bytes, or a command."""

    offset: int
    pcm: bytes = b""
    command: str = ""


class Backlog:
    """Audio that waits for Redis: at most 5 s; the oldest is dropped first. Commands are never dropped."""

    def __init__(self, buffer_ms: int = BUFFER_MS) -> None:
        self._limit = buffer_ms * BYTES_PER_MS
        self._entries: deque[AudioChunk] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, entry: AudioChunk) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.pcm)
        if self._bytes > self._limit:
            self._drop()

    def _drop(self) -> None:
        kept: deque[AudioChunk] = deque()
        while self._bytes > self._limit:
            entry = self._entries.popleft()
            if entry.command:
                kept.append(entry)
            self._bytes -= len(entry.pcm)
        self._entries.extendleft(reversed(kept))

    def take(self) -> list[AudioChunk]:
        entries, self._entries, self._bytes = list(self._entries), deque(), 0
        return entries

    def give_back(self, entries: list[AudioChunk]) -> None:
        """Puts entries that could not be sent back in front of those that came meanwhile."""
        for entry in reversed(entries):
            self._entries.appendleft(entry)
            self._bytes += len(entry.pcm)
        if self._bytes > self._limit:
            self._drop()

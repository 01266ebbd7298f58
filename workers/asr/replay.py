"""Keeps the audio since the last final, to send it again to a recogniser that was reopened. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from workers.asr.base import BYTES_PER_MS

KEEP_MS: Final = 30_000


class Replay:
    """Audio from `start_ms` to `end_ms` of a recording."""

    def __init__(self, keep_ms: int = KEEP_MS) -> None:
        self._keep = keep_ms * BYTES_PER_MS
        self._chunks: deque[bytes] = deque()
        self._start = 0  # both in bytes
        self._end = 0

    @property
    def start_ms(self) -> int:
        return self._start // BYTES_PER_MS

    @property
    def end_ms(self) -> int:
        return self._end // BYTES_PER_MS

    def add(self, pcm: bytes) -> None:
        self._chunks.append(pcm)
        self._end += len(pcm)
        self._forget(self._end - self._keep)

    def forget_until(self, ms: int) -> None:
        self._forget(min(ms * BYTES_PER_MS, self._end))

    def _forget(self, until: int) -> None:
        while self._chunks and self._start < until:
            chunk = self._chunks.popleft()
            cut = min(until - self._start, len(chunk))
            self._start += cut
            if cut < len(chunk):
                self._chunks.appendleft(chunk[cut:])

    def audio(self) -> bytes:
        return b"".join(self._chunks)

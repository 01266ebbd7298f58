"""Spoken sentences that are used again: by text, voice and speed, in this process's memory, bounded by size and age."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Entry:
    pcm: bytes
    until: float


class SpeechCache:
    """`limit` in bytes, `seconds` of age. A sentence longer than a quarter of the limit is not kept.

    Nothing is written to disk: what is read aloud is as private as the answer itself.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[tuple[object, ...], _Entry] = OrderedDict()
        self.size = 0

    def get(self, key: tuple[object, ...]) -> bytes | None:
        """The audio of a sentence, if it was spoken of late."""
        self._expire()
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.pcm

    def put(self, key: tuple[object, ...], pcm: bytes) -> None:
        """Keeps a sentence; those that were not used for the longest time make room."""
        if not pcm or len(pcm) > self._limit // 4:
            return
        self._drop(key)
        self._entries[key] = _Entry(pcm, self._clock() + self._seconds)
        self.size += len(pcm)
        while self.size > self._limit:
            self._drop(next(iter(self._entries)))

    def _expire(self) -> None:
        now = self._clock()
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            self._drop(key)

    def _drop(self, key: tuple[object, ...]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry.pcm)

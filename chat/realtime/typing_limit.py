"""Bounds how many signs of typing one process sends into one conversation, however many of its members type at once."""

from __future__ import annotations

import uuid
from typing import Final

from cachetools import LRUCache

from accounts.lib.per_loop import PerLoop
from accounts.lib.rate_limit import Bucket, Rate

PER_CONVERSATION: Final = Rate(10, 1.0)
REMEMBERED: Final = 1_000  # conversations


class TypingRoom:
    """The signs of typing that one process has sent lately, by conversation."""

    def __init__(self) -> None:
        self._buckets: LRUCache[uuid.UUID, Bucket] = LRUCache(REMEMBERED)

    def try_acquire(self, conversation_id: uuid.UUID, now: float) -> float:
        """Counts one sign at `now` (monotonic seconds) and returns 0, or returns the seconds until there is room."""
        bucket = self._buckets.get(conversation_id)
        if bucket is None:
            bucket = self._buckets[conversation_id] = Bucket(PER_CONVERSATION)
        return bucket.try_acquire(now)


typing_room: Final = PerLoop(TypingRoom)

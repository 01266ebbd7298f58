"""Notices a worker that has stopped taking jobs although jobs are waiting.

Celery's consumer can lose its broker in silence and never come back (celery#8030, #9054, #10205), while the process,
its streams and its heartbeats go on. Only that nothing is taken from a queue that is not empty shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Liveness:
    """What one process has taken. `took` may be called on any thread."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience = patience  # seconds
        self._clock = clock
        self._took_at = clock()
        self._waiting_since: float | None = None

    def took(self) -> None:
        """A job was taken up."""
        self._took_at = self._clock()

    def is_stuck(self, waiting: int, *, full: bool) -> bool:
        """Whether jobs have been `waiting` for longer than `patience` while this process, which is not `full`, took
        none. To be asked every few seconds.
        """
        now = self._clock()
        if not waiting or full:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        return now - max(self._waiting_since, self._took_at) > self.patience

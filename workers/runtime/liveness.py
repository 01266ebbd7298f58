"""Detects a worker that has stopped taking jobs although jobs are waiting.

Celery's consumer can lose its broker without an error and never reconnect (celery#8030, #9054, #10205), while the
process, its streams and its heartbeats continue. The only sign is a queue with jobs that this process does not take.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Liveness:
    """Which jobs one process has taken, and when. `note_job` may be called on any thread."""

    def __init__(self, stuck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stuck_seconds = stuck_seconds  # seconds
        self._clock = clock
        self._took_at = clock()
        self._waiting_since: float | None = None

    def note_job(self) -> None:
        """This process took a job."""
        self._took_at = self._clock()

    def is_stuck(self, waiting: int, *, full: bool) -> bool:
        """Whether jobs have been `waiting` for longer than `stuck_seconds` while this process was not `full` and took
        none. To be called every few seconds.
        """
        now = self._clock()
        if not waiting or full:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        return now - max(self._waiting_since, self._took_at) > self.stuck_seconds

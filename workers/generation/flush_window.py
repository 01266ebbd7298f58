"""How long tokens collect before they are appended. Pure.

The window is 40 ms while the machine keeps up. It grows with measurements: how late the loop wakes, how long an append
takes, and how many streams share the process, so that frames per second stay within what one core can handle. A busy
process waits up to 20 ms between two appends, so that whatever falls due in between shares one round trip.
"""

from __future__ import annotations

from typing import Final

SHORTEST: Final = 0.040  # seconds
LONGEST: Final = 0.500
SMOOTHING: Final = 0.1  # weight of the newest measurement
LOAD_FACTOR: Final = 4.0  # the window is this many times the duration of an append, including the lateness
FRAMES_PER_SECOND: Final = 2_000  # of one process, approximately
BEAT_PER_STREAM: Final = 0.0002  # seconds between two appends, for each open stream ...
LONGEST_BEAT: Final = 0.020  # ... up to this


class FlushWindow:
    """The current window in seconds, from smoothed measurements."""

    __slots__ = ("append_seconds", "beat", "late_seconds", "seconds", "shortest")

    def __init__(self, shortest: float = SHORTEST) -> None:
        self.seconds = self.shortest = shortest
        self.append_seconds = 0.0
        self.beat = 0.0  # seconds from one append to the next, so that many streams share one
        self.late_seconds = 0.0

    def woke(self, late: float) -> None:
        """The loop woke `late` seconds after it was due."""
        self.late_seconds += SMOOTHING * (max(late, 0.0) - self.late_seconds)

    def flushed(self, took: float, streams: int) -> None:
        """An append took so many seconds, with so many streams open in the process."""
        self.beat = min(LONGEST_BEAT, streams * BEAT_PER_STREAM)
        self.append_seconds += SMOOTHING * (took - self.append_seconds)
        load = LOAD_FACTOR * (self.append_seconds + self.late_seconds)
        self.seconds = max(self.shortest, min(LONGEST, max(load, streams / FRAMES_PER_SECOND)))

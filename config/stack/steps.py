"""Says what a start is doing: a line as each step begins, with the seconds since this process began.

The first line is written by `manage.py`, before it imports anything.
"""

from __future__ import annotations

import contextlib
import sys
import time

import psutil


class Steps:
    """Writes to stdout."""

    def __init__(self) -> None:
        age = max(0.0, time.time() - psutil.Process().create_time())
        self._began: float = time.monotonic() - age

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def begin(self, what: str) -> None:
        """Writes one line, complete, so that it is seen at once wherever the output goes."""
        with contextlib.suppress(OSError):  # a reader that went away does not end the start
            sys.stdout.write(f"{self.seconds:6.1f} s  {what}\n")
            sys.stdout.flush()


steps = Steps()

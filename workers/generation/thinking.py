"""What the model of one answer thinks: how long, how much of it is shown, and all of it to be counted."""

from __future__ import annotations

import time

from django.conf import settings

from workers.generation.run_log import RunLog


class Thinking:
    """`first` is when it began, in seconds of the monotonic clock; None before.

    It lasts until text of the answer comes; it may begin again after that. Beyond `REASONING_MAX_CHARS` it is counted,
    and neither shown nor stored: an ellipsis says so. With `again` it goes on after that of earlier steps.
    """

    def __init__(self, log: RunLog, *, again: bool = False) -> None:
        self.first: float | None = None
        self._log = log
        self._texts: list[str] = []
        self._room: int = max(settings.REASONING_MAX_CHARS - (len(log.reasoning) if again else 0), 0)
        self._blank_line = "\n\n" if again and log.reasoning else ""
        self._cut = False
        self._since: float | None = None  # it is going on since then
        self._seconds = 0.0  # before that

    @property
    def text(self) -> str:
        """All of it, also what is not shown."""
        return "".join(self._texts)

    def elapsed_ms(self) -> int:
        going_on = 0.0 if self._since is None else time.monotonic() - self._since
        return int((self._seconds + going_on) * 1000)

    def feed(self, text: str) -> None:
        """Adds a piece, which is not empty."""
        if self._since is None:
            self._since = time.monotonic()
            self.first = self.first or self._since
        self._texts.append(text)
        shown = text[: self._room]
        self._room -= len(shown)
        if len(shown) < len(text) and not self._cut:
            self._cut = True
            shown += "…"
        if shown:
            shown, self._blank_line = self._blank_line + shown, ""
            self._log.think(shown)

    def pause(self) -> None:
        """The model writes its answer, or has ended."""
        if self._since is not None:
            self._seconds += time.monotonic() - self._since
            self._since = None

    def take_over(self, text: str, seconds: float) -> str:
        """Counts text of the answer that was thinking, as it turned out at its end. Returns what is stored of it."""
        self._texts.append(text)
        self._seconds += seconds
        return text if len(text) <= self._room else f"{text[: self._room]}…"

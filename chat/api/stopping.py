"""Ends a text at the first of some texts, while it arrives in pieces. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """`feed` returns what of the text may be passed on: what may still become one of `stops` is held back.

    `hit`: one was found, and what comes after it is dropped. `text` is all that was passed on.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self._parts: list[str] = []
        self.hit = False

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def feed(self, piece: str) -> str:
        if self.hit:
            return ""
        held = self._held + piece
        found = [at for at in (held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.hit, self._held = True, ""
            return self._pass(held[: min(found)])
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return self._pass(held[: len(held) - keep])

    def end(self) -> str:
        """What was held back of a text that has ended."""
        held, self._held = self._held, ""
        return self._pass(held)

    def _pass(self, text: str) -> str:
        if text:
            self._parts.append(text)
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest beginning of `stop` that `text` ends with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)

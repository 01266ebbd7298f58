"""Rules on a text that is still being written: what may be shown now, and what is held back until it is clear.

Held back is the end of the text that may still become a hit: from the word on that a listed one may begin with; where
there are patterns or personal data, from the last white space on. Never more than `REACH` characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from chat.moderation.matching.matcher import REACH, Action, Hit, Matcher, masked

_NUMBER: Final = re.compile(r"[+(]?\d[\d ().\-/]*\Z")


@dataclass(slots=True)
class Released:
    """`text` may be shown: hits of rules that mask are replaced in it.

    `hits` have the offsets of the whole original text. `blocked`: a rule blocks or holds, and nothing from that hit on
    may be shown. `late` hits began in what had been shown before, which has to be withdrawn.
    """

    text: str
    hits: list[Hit] = field(default_factory=list)
    late: list[Hit] = field(default_factory=list)
    blocked: bool = False


class StreamFilter:
    """One answer. Feed it the pieces in order; after the last one call it with `last=True`."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._context = ""  # what was shown last, for words that began there
        self._held = ""
        self._shown = 0  # characters of the original that were released
        self.blocked = False

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return len(self._held)

    def feed(self, piece: str, *, last: bool = False) -> Released:
        """Raises `ValueError` after a block."""
        if self.blocked:
            raise ValueError("this answer was blocked")
        window = self._context + self._held + piece
        base = len(self._context)
        pending = window[base:]
        found = [hit for hit in self._matcher.find(window) if hit.end > base]
        keep = 0 if last else self._to_hold(window, found)
        until = len(window) - min(keep, len(pending))
        # A hit that ends at the very end may still grow, and so does one that reaches into what is held back.
        ready = [hit for hit in found if hit.end <= until]
        stopping = [hit for hit in ready if hit.action in {Action.HOLD, Action.BLOCK}]
        self.blocked = bool(stopping)
        if stopping:
            until = max(base, min(hit.start for hit in stopping))
        shown = [hit for hit in ready if hit.action is Action.MASK and base <= hit.start < until]
        text = masked(window[base:until], [_moved(hit, -base) for hit in shown])
        late = [hit for hit in ready if hit.start < base and hit.action is not Action.FLAG]
        offset = self._shown - base
        self._context = window[max(0, until - REACH) : until]
        self._held = window[until:]
        self._shown += until - base
        moved = [_moved(hit, offset) for hit in ready]
        return Released(text, moved, [_moved(hit, offset) for hit in late], self.blocked)

    def _to_hold(self, window: str, found: list[Hit]) -> int:
        """How many characters at the end of `window` may still become, or belong to, a hit."""
        start = len(window)
        tail = max(0, start - REACH)
        start = min(start, tail + self._matcher.unfinished_from(window[tail:]))
        if self._matcher.searches_patterns:
            start = min(start, max(window.rfind(" ", tail), window.rfind("\n", tail), tail - 1) + 1)
            if number := _NUMBER.search(window, tail):
                start = min(start, number.start())
        for hit in found:
            if hit.end > start:
                start = min(start, max(hit.start, tail))
        return len(window) - start


def _moved(hit: Hit, by: int) -> Hit:
    return Hit(hit.start + by, hit.end + by, hit.rule, hit.action, hit.label)

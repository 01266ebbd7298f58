"""Rules on a text that is still being written: what may be shown now, and what is held back until it is clear.

Held back is the end of the text that may still become a hit: from the word on that a listed one may begin with; where
there are patterns or personal data, from the last white space on, or from the beginning of a number or bank account.
Never more than `REACH` characters, and nothing for rules that only flag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chat.moderation.matching.matcher import REACH, Action, Hit, Matcher, masked

_NUMBER: Final = re.compile(r"[+(]?\d[\d ().\-/]*\Z")
_OF_NUMBERS: Final = "0123456789 ().-/"
_DIGIT: Final = re.compile(r"\d")


@dataclass(slots=True)
class Released:
    """`text` may be shown: hits of rules that mask are replaced in it.

    `hits` have the offsets of the whole original text. `blocked`: a rule blocks or holds, and nothing from that hit on
    may be shown. `late` hits began in what had been shown before, which has to be withdrawn.
    """

    text: str
    hits: Sequence[Hit] = ()
    late: Sequence[Hit] = ()
    blocked: bool = False


class StreamFilter:
    """One answer. Feed it the pieces in order; after the last one call it with `last=True`. `before` is what was there
    of it before, and is shown already.
    """

    def __init__(self, matcher: Matcher, before: str = "") -> None:
        self._matcher = matcher
        self._reach = matcher.context
        self._context = before[-self._reach :]  # what was shown last, for words that began there
        self._held = ""
        self.shown = len(before)  # characters of the original that were released
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
        if last:
            hits, until = self._matcher.find(window), len(window)
        else:
            hits, unfinished = self._matcher.find_unfinished(window, base)
            until = max(base, self._held_from(window, unfinished, hits))
        if not hits:
            return self._release(window, base, until, Released(window[base:until]))
        # A hit that ends at the very end may still grow, and so does one that reaches into what is held back.
        ready = [hit for hit in hits if base < hit.end <= until]
        stopping = [hit for hit in ready if hit.action in {Action.HOLD, Action.BLOCK}]
        self.blocked = bool(stopping)
        if stopping:
            until = max(base, min(hit.start for hit in stopping))
        shown = [_from(hit, base) for hit in ready if hit.action is Action.MASK and hit.start < until]
        text = masked(window[base:until], [_moved(hit, -base) for hit in shown])
        late = [hit for hit in ready if hit.start < base and hit.action is not Action.FLAG]
        offset = self.shown - base
        moved = [_moved(hit, offset) for hit in ready]
        released = Released(text, moved, [_moved(hit, offset) for hit in late], self.blocked)
        return self._release(window, base, until, released)

    def _release(self, window: str, base: int, until: int, released: Released) -> Released:
        """Notes that `window` is shown from `base` to `until`; what is after that is held back."""
        self._context = window[max(0, until - self._reach) : until]
        self._held = window[until:]
        self.shown += until - base
        return released

    def _held_from(self, window: str, unfinished: int, hits: list[Hit]) -> int:
        """From where on `window` may still become, or belong to, a hit: its length if it ends in none."""
        tail = max(0, len(window) - REACH)
        start = max(tail, unfinished)
        if self._matcher.withholds_patterns:
            blank = max(window.rfind(" ", tail), window.rfind("\n", tail), tail - 1)
            start = min(start, blank + 1, _number_from(window, tail))
        for hit in sorted(hits, key=lambda one: one.end, reverse=True):  # one that is held back may hold back another
            if hit.end > start and hit.action is not Action.FLAG:
                start = min(start, max(hit.start, tail))
        return start


def _number_from(window: str, tail: int) -> int:
    """Where, from `tail` on, the number begins that `window` ends with; its length if it ends with none."""
    if not window.isascii():
        number = _NUMBER.search(window, tail)
        return number.start() if number else len(window)
    # The same, without trying each digit before.
    digit = _DIGIT.search(window, max(tail, len(window.rstrip(_OF_NUMBERS))))
    if digit is None:
        return len(window)
    at = digit.start()
    return at - 1 if at > tail and window[at - 1] in "+(" else at


def _from(hit: Hit, start: int) -> Hit:
    """The hit without what was shown of it before."""
    return hit if hit.start >= start else Hit(start, hit.end, hit.rule, hit.action, hit.label)


def _moved(hit: Hit, by: int) -> Hit:
    return Hit(hit.start + by, hit.end + by, hit.rule, hit.action, hit.label)

"""Bounds the combining marks on one character. No I/O.

A browser takes a minute to lay out one letter with 60,000 accents, and every reader's page stands still meanwhile. No
writing puts more than about ten on a character.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

MOST_MARKS: Final = 30  # on one character

_ANY: Final = "\u0301"


class _Patterns(NamedTuple):
    suspect: re.Pattern[str]  # so many in a row that may be marks
    many: re.Pattern[str]  # too many marks in a row; the first group is what is kept
    one: re.Pattern[str]


@functools.cache
def _patterns() -> _Patterns:
    """Made at the first text that needs them: it takes 20 ms.

    Beyond U+FFFF a set of characters is gone through item by item for everything that is not in it. So marks are
    ranges, and most texts are passed over by `suspect`, which has one range for all that is beyond: one by one, 48,000
    Chinese characters took 80 ms of the loop, and take 1 ms.
    """
    codes = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]
    ranges = list(_ranges([code for code in codes if unicodedata.category(chr(code)) in ("Mn", "Me")]))
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    wider = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges if last <= 0xFFFF)
    wider += "\U00010000-\U0010ffff"
    return _Patterns(
        re.compile(f"[{wider}][{wider}]{{{MOST_MARKS}}}"),
        re.compile(f"([{marks}][{marks}]{{{MOST_MARKS - 1}}})[{marks}]+"),
        re.compile(f"[{marks}]"),
    )


def _ranges(codes: list[int]) -> Iterator[tuple[int, int]]:
    """Those that follow each other, as their first and last."""
    for _, row in itertools.groupby(enumerate(codes), lambda one: one[1] - one[0]):
        found = [code for _, code in row]
        yield found[0], found[-1]


def bound_marks(text: str) -> str:
    """`text` with at most `MOST_MARKS` combining marks in a row."""
    if text.isascii() or _patterns().suspect.search(text) is None:
        return text
    return _patterns().many.sub(r"\1", text)


class MarkBound:
    """The same for a text that comes in pieces."""

    def __init__(self) -> None:
        self._marks = 0  # at the end of what has come

    def admit(self, piece: str) -> str:
        """What may be added to the text for this piece."""
        if not piece:
            return piece
        if piece.isascii():
            self._marks = 0
            return piece
        kept = bound_marks(_ANY * self._marks + piece)[self._marks :]
        last, is_mark = 0, _patterns().one.match
        while last < min(len(kept), MOST_MARKS) and is_mark(kept[-1 - last]):
            last += 1
        if not (kept == "" and self._marks == MOST_MARKS):
            self._marks = last if last < len(kept) else min(self._marks + last, MOST_MARKS)
        return kept

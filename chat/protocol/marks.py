"""Bounds the combining marks on one character. No I/O.

A browser takes a minute to lay out one letter with 60,000 accents, and every reader's page stands still meanwhile. No
writing puts more than about ten on a character.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

MOST_MARKS: Final = 30  # on one character

_ANY: Final = "\u0301"


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Too many marks in a row, and the marks at the end. Made at the first text that needs them: it takes 20 ms."""
    codes = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]
    marks = "".join(chr(code) for code in codes if unicodedata.category(chr(code)) in ("Mn", "Me"))
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+"), re.compile(f"[{marks}]*\\Z")


def bound_marks(text: str) -> str:
    """`text` with at most `MOST_MARKS` combining marks in a row."""
    return text if text.isascii() else _patterns()[0].sub(r"\1", text)


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
        found = _patterns()[1].search(kept)
        last = len(kept) if found is None else len(kept) - found.start()
        if not (kept == "" and self._marks == MOST_MARKS):
            self._marks = last if last < len(kept) else min(self._marks + last, MOST_MARKS)
        return kept

"""Two forms of a text that are searched instead of it, each with a way back to the original's offsets.

The *plain* form keeps case and accents; it drops invisible characters and replaces compatibility characters (digits of
full width, ligatures, no-break spaces). Patterns and personal data are searched in it. The *folded* form also drops
case and accents, replaces letters of other scripts that look like Latin ones, and has one space for any white space.
Words are searched in it.

Both are made character by character (`str.translate`), never by normalising the whole text: so each character of a form
comes from exactly one character of the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import Final

import regex

CACHED: Final = 20_000  # characters whose replacement is kept, per form

# Default ignorable characters that are not of category Cf, and a blank of braille.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for block in (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)) for code in block
}
# Letters of other scripts that readers take for Latin ones: from confusables.txt of Unicode's UTS 39, lower case only.
_LOOKALIKES: Final = str.maketrans(
    "авсԁеһіјкӏмнорԛѕтуѵԝхαβγεηικνορτυχωıɡɩʋոսօցհ",
    "abcdehijklmhopqstyvwxabyenikvoptuxwigivnuoqh",
)
_OPTIONAL_MARKS: Final = (*range(10, 36), *range(202, 241))  # canonical combining classes
_HANGUL: Final = range(0xAC00, 0xD7A4)
_SPACES: Final = re.compile(" {2,}")


class Table(dict[int, str]):
    """What `str.translate` looks up: made when a character is first seen."""

    def __init__(self, replacement: Callable[[str], str]) -> None:
        super().__init__()
        self.replacement = replacement

    def __missing__(self, code: int) -> str:
        made = self.replacement(chr(code))
        if len(self) < CACHED:
            self[code] = made
        return made


def _plain(character: str) -> str:
    if character in "\n\t":
        return character
    if character in _INVISIBLE or (category := unicodedata.category(character)) == "Cf":
        return ""
    if category in {"Zs", "Zl", "Zp"}:
        return " "
    return unicodedata.normalize("NFKC", character)


def _folded(character: str) -> str:
    if character.isspace():
        return " "
    if ord(character) in _HANGUL:  # as a whole: a part of a syllable is no match
        return character
    kept = "".join(each for each in unicodedata.normalize("NFKD", _plain(character)) if not _is_optional_mark(each))
    return "".join(
        each for each in unicodedata.normalize("NFKD", kept.casefold()) if not _is_optional_mark(each)
    ).translate(_LOOKALIKES)


def _is_optional_mark(character: str) -> bool:
    """Accents, Hebrew points and Arabic vowel signs; not the vowel signs of Indic scripts and of Thai."""
    category = unicodedata.category(character)
    return category == "Me" or (category == "Mn" and unicodedata.combining(character) in _OPTIONAL_MARKS)


_TABLES: Final = {"plain": Table(_plain), "folded": Table(_folded)}
# The folded form of ASCII, whose plain form it is itself: without looking up each character.
_ASCII_FOLDED: Final = bytes(ord(_folded(chr(code))) for code in range(128)) + bytes(range(128, 256))


class Form:
    """`text` is one form of `original`."""

    def __init__(self, original: str, name: str) -> None:
        self.original = original
        self._table = _TABLES[name]
        self._ascii = original.isascii()
        self._squeezed = name == "folded"
        if self._ascii:
            text = original.encode().translate(_ASCII_FOLDED).decode() if self._squeezed else original
        else:
            text = original.translate(self._table)
        self.text = _SPACES.sub(" ", text) if self._squeezed and "  " in text else text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The offsets in the original of `text[start:end]`, widened to what a reader sees as whole characters."""
        if start >= end:
            raise ValueError("an empty span")
        if self.has_same_offsets:
            return start, end
        first, last = self._offsets[start], self._offsets[end - 1]
        if self._ascii:
            return first, last + 1
        starts = self._graphemes
        after = bisect_right(starts, last)
        return starts[bisect_right(starts, first) - 1], starts[after] if after < len(starts) else len(self.original)

    @property
    def has_same_offsets(self) -> bool:
        """Whether each character is at the original's offset. There are other texts of which that is true."""
        return self._ascii and len(self.text) == len(self.original)

    def position(self, offset: int) -> int:
        """Where the original's `offset` is in `text`: the first character that comes from it or from what follows."""
        return bisect_left(self._offsets, offset)

    @cached_property
    def _offsets(self) -> list[int]:
        """For each character of `text` the original's offset that it comes from."""
        table, offsets, before = self._table, list[int](), ""
        for at, character in enumerate(self.original):
            for made in table[ord(character)]:
                if not (self._squeezed and made == before == " "):
                    offsets.append(at)
                before = made
        return offsets

    @cached_property
    def _graphemes(self) -> list[int]:
        """Where characters as readers see them (extended grapheme clusters, UAX 29) begin in the original."""
        return [match.start() for match in regex.finditer(r"\X", self.original)]


def plain(original: str) -> Form:
    """Raises nothing; any text has a plain form, which may be empty."""
    return Form(original, "plain")


def folded(original: str) -> Form:
    """Raises nothing; any text has a folded form, which may be empty."""
    return Form(original, "folded")

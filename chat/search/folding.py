r"""How texts become words that are compared: without accents, case and forms of the same character.

The SQL functions `chat_search_fold` and `chat_search_words` (`chat.search.sql`) do the same to stored texts, made of
the same character classes; a test compares both. None of it depends on the database's locale or on an extension:
PostgreSQL has `normalize` itself, and which characters separate words is listed here.

Scripts that are written without spaces (Chinese, Japanese, Korean, Thai …) are indexed as pairs of characters, and the
last character of a run alone.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Both Python and PostgreSQL read these as the inside of a bracket expression.
SEPARATORS: Final = (
    r"\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7"
    r"\u02c2-\u02df\u0589\u05be\u05c0\u05c3\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u0e4f\u0e5a\u0e5b"
    r"\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d\u30fb\ufe00-\ufe1f"
    r"\ufe30-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufeff\ufffc\ufffd\U0001f000-\U0001faff"
)
UNSPACED: Final = (
    r"\u0e01-\u0e4e\u0e50-\u0e59\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff"
    r"\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff"
    r"\U00020000-\U0003134f"
)
MARKS: Final = (
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f"
    r"\u0670\u06d6-\u06dc"
)
# Letters that keep their case or their stroke when marks are gone. The first string becomes the second, one by one.
_GREEK: Final = "".join(map(chr, (*range(0x391, 0x3A2), *range(0x3A3, 0x3AA))))
_CYRILLIC: Final = "".join(map(chr, range(0x410, 0x430)))
_OLDER_CYRILLIC: Final = "".join(map(chr, range(0x400, 0x410)))
_ARMENIAN: Final = "".join(map(chr, range(0x531, 0x557)))
UPPER: Final = _GREEK + _CYRILLIC + _OLDER_CYRILLIC + _ARMENIAN + "ØøĐđŁłĦħŦŧÐðıŊς"
LOWER: Final = (
    "".join(map(chr, (*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA), *range(0x430, 0x450), *range(0x450, 0x460))))
    + "".join(map(chr, range(0x561, 0x587)))
    + "ooddllhhttddiŋσ"
)
SEVERAL: Final = (
    ("ß", "ss"),
    ("ẞ", "ss"),
    ("Æ", "ae"),
    ("æ", "ae"),
    ("Œ", "oe"),
    ("œ", "oe"),
    ("Þ", "th"),
    ("þ", "th"),
)

LONGEST_WORD: Final = 40  # characters that are compared; the rest of a longer word is not
INDEXED_CHARS: Final = 100_000  # of a text

_MARK: Final = re.compile(f"[{MARKS}]")
_SEPARATOR: Final = re.compile(f"[{SEPARATORS}]+")
_RUN: Final = re.compile(f"([{UNSPACED}]+)")
_ASCII_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_LETTERS: Final = str.maketrans(UPPER, LOWER)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a query or a text, folded. `unspaced`: a run of a script without spaces."""

    text: str
    unspaced: bool = False


def fold(text: str) -> str:
    """A text without accents and case, with spaces around runs of scripts that are written without."""
    if text.isascii():
        return text.translate(_ASCII_LOWER)
    bare = unicodedata.normalize("NFKC", _MARK.sub("", unicodedata.normalize("NFKD", text))).translate(_LETTERS)
    for one, letters in SEVERAL:
        bare = bare.replace(one, letters)
    return _RUN.sub(r" \1 ", bare).translate(_ASCII_LOWER)


def words_of(text: str) -> list[Word]:
    """The words of a text in their order, each once."""
    parts = dict.fromkeys(part for part in _SEPARATOR.split(fold(text)) if part)
    return [Word(part, True) if _RUN.match(part) else Word(part[:LONGEST_WORD]) for part in parts]


def pairs_of(run: str) -> list[str]:
    """The pairs of characters that a run is found by; of one character itself."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


@functools.lru_cache(maxsize=16_384)
def _fold_one(character: str) -> str:
    plain = fold(character)
    return plain.strip() if len(plain) > 1 else plain


def folded_with_places(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, without the spaces around runs, and for each of its characters the place it has in `text`."""
    if text.isascii():
        return text.translate(_ASCII_LOWER), range(len(text))
    folded: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        plain = _fold_one(character)
        folded.append(plain)
        places.extend([at] * len(plain))
    return "".join(folded), places

"""Barge-in: cuts a spoken answer that the user talked over to the part that was heard."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

LONGEST_WORD: Final = 40  # code points; anything longer is a script that does not separate words by spaces


def heard_part(text: str, heard_chars: int) -> str:
    """The beginning of `text`, up to `heard_chars` code points, without a word that was interrupted.

    Always a prefix. It ends after a word, never inside one, between a letter and its accent, or with a space.
    """
    if heard_chars >= len(text):
        return text
    cut = heard_chars
    while cut > 0 and heard_chars - cut <= LONGEST_WORD and _joined(text[cut - 1], text[cut]):
        cut -= 1
    if heard_chars - cut > LONGEST_WORD:
        cut = heard_chars
        while cut > 0 and unicodedata.combining(text[cut]):
            cut -= 1
    return text[:cut].rstrip()


@dataclass(frozen=True, slots=True)
class Cut:
    """What is kept of an answer, in code points: `heard_chars` of `produced_chars`."""

    text: str
    heard_chars: int
    produced_chars: int


def cut_answer(text: str, heard_chars: int | None) -> Cut | None:
    """Cuts an answer to what was heard of it. None if the user did not talk over it, or had heard all of it.

    The removed part is not kept.
    """
    if heard_chars is None:
        return None
    kept = heard_part(text, heard_chars)
    if len(kept) >= len(text.rstrip()):
        return None
    return Cut(kept, len(kept), len(text))


def _joined(before: str, after: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return bool(unicodedata.combining(after)) or (_in_word(before) and _in_word(after))


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "'’-_" or bool(unicodedata.combining(character))

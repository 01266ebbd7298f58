"""The part of a text around what was found, as pieces that are marked or not. No HTML is made."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from chat.markdown.words import shown_words
from chat.search.folding import Word, folded_with_places, words_of
from chat.search.queries import FEWEST_TYPO

PASSAGE_CHARS: Final = 180
BEFORE_CHARS: Final = 50  # of the passage, before what was found
SEARCHED_CHARS: Final = 20_000  # of a text, in which the place is looked for

Piece = tuple[str, bool]  # a part of the text, and whether it is marked


def pieces_of(text: str, words: Iterable[Word], longest: int = PASSAGE_CHARS) -> list[Piece]:
    """A passage with each occurrence of the words marked, whole texts as they are; the beginning if nothing occurs."""
    line = " ".join(unicodedata.normalize("NFC", text[:SEARCHED_CHARS]).split())
    folded, places = folded_with_places(line)
    spans = sorted(_occurrences(folded, places, words))
    start = 0
    if spans and len(line) > longest:
        start = max(0, spans[0][0] - BEFORE_CHARS)
        space = line.find(" ", start, spans[0][0])
        start = space + 1 if start and space >= 0 else start
    end = min(len(line), start + longest)
    pieces: list[Piece] = [("…", False)] if start else []
    at = start
    for first, last in spans:
        first, last = max(first, at), min(last, end)
        if first >= last:
            continue
        if first > at:
            pieces.append((line[at:first], False))
        pieces.append((line[first:last], True))
        at = last
    if at < end:
        pieces.append((line[at:end], False))
    if end < len(line) or len(text) > SEARCHED_CHARS:
        pieces.append(("…", False))
    return pieces


def pieces_of_message(text: str, html: str, words: Sequence[Word]) -> list[Piece]:
    """`pieces_of` of a message's words as they are shown; of its source where a reader sees none of the words, as those
    of a link's address. `html`: empty for what people wrote.
    """
    shown = pieces_of(shown_words(text, html), words)
    if html and not any(marked for _, marked in shown):
        source = pieces_of(text, words)
        return source if any(marked for _, marked in source) else shown
    return shown


def _occurrences(folded: str, places: Sequence[int], words: Iterable[Word]) -> Iterable[tuple[int, int]]:
    for word in words:
        at = folded.find(word.text)
        while at >= 0:
            end = at + len(word.text)
            if word.unspaced or at == 0 or not folded[at - 1].isalnum():
                yield places[at], places[end - 1] + 1
            at = folded.find(word.text, end)


def has_all_runs(text: str, words: Iterable[Word]) -> bool:
    """Whether a text has each run of an unspaced script as a whole; the index knows only pairs of characters."""
    runs = [word.text for word in words if word.unspaced and len(word.text) > 2]
    if not runs:
        return True
    folded, _ = folded_with_places(unicodedata.normalize("NFC", text))
    return all(run in folded for run in runs)


def near_words(text: str, words: Iterable[Word]) -> list[Word]:
    """The words of a text that one typing error leads to, for marking them."""
    wanted = [word.text for word in words]
    return [word for word in words_of(text[:SEARCHED_CHARS]) if any(_is_near(word.text, one) for one in wanted)]


def _is_near(word: str, wanted: str) -> bool:
    """Whether the beginning of a word is at most one insertion, deletion, exchange or swap away."""
    if len(wanted) < FEWEST_TYPO or word.startswith(wanted):
        return word.startswith(wanted)
    at = 0
    while at < min(len(word), len(wanted)) and word[at] == wanted[at]:
        at += 1
    rest, other = wanted[at:], word[at:]
    return (
        rest[1:] == other
        or rest == other[1:]
        or (len(other) >= len(rest) and other[1:].startswith(rest[1:]) and len(rest) > 0)
        or (len(rest) > 1 and other.startswith(rest[1] + rest[0] + rest[2:]))
    )

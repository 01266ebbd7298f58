"""Which passages of many files fit a question. Pure: no I/O.

A part of a file (a page, a sheet) is found by PostgreSQL's index. It may be long, so it is divided into windows, and
these are compared with the question again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from chat.search.folding import Word, fold, words_of

WINDOW_CHARS: Final = 1_600  # of one passage, about
MOST_PASSAGES: Final = 24  # of one answer
PASSAGE_TOKENS: Final = 8_000  # of all of them, at most
RANK_OFFSET: Final = 60  # of reciprocal rank fusion, as its authors found it: the top of one ranking is not all
FAR_BEHIND: Final = 0.25  # of the best passage's score: what has less is left out


Place = TypeVar("Place", int, tuple[int, int, int])


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a part: `start` is where it begins in the part, in characters."""

    file: int  # its place among the files
    position: int
    label: str
    start: int
    text: str


def weights_of(flags: Sequence[Sequence[bool]]) -> list[float]:
    """How much each word of a question counts: the more, the fewer of the parts have it. `flags`: for each part, which
    of the words it has.
    """
    having = [sum(column) for column in zip(*flags, strict=True)] if flags else []
    return [math.log(1 + len(flags) / many) if many else 0.0 for many in having]


def best_parts(flags: Sequence[Sequence[bool]], weights: Sequence[float], most: int) -> list[int]:
    """The indices of the parts that fit best, the best first."""
    scores = [sum(w for w, has in zip(weights, row, strict=True) if has) for row in flags]
    order = sorted(range(len(flags)), key=lambda at: (-scores[at], at))
    return [at for at in order if scores[at] > 0][:most]


def windows_of(text: str, most: int = WINDOW_CHARS) -> Iterator[tuple[int, str]]:
    """A text in pieces of at most `most` characters, each with its place; divided at blank lines, lines or spaces."""
    start = 0
    while start < len(text):
        end = min(start + most, len(text))
        if end < len(text):
            least = start + most // 2
            end = next(
                (cut + len(mark) for mark in ("\n\n", "\n", ". ", " ") if (cut := text.rfind(mark, least, end)) > 0),
                end,
            )
        piece = text[start:end]
        lead = len(piece) - len(piece.lstrip())
        if kept := piece.strip():
            yield start + lead, kept
        start = end


def rank_windows(
    windows: Sequence[Window],
    words: Sequence[Word],
    weights: Sequence[float],
    named: Mapping[int, Sequence[bool]],
) -> list[Window]:
    """The windows that have the question's words, the best first. Those far behind the best are left out.

    `named`: which of the words are in the name of each file; they count half.
    """
    scored = []
    most = max(weights, default=0.0)  # for words that no text has
    for window in windows:
        has = _flags(window.text, words)
        score = sum(w for w, flag in zip(weights, has, strict=True) if flag)
        if score > 0:
            beside = sum(w or most for w, flag in zip(weights, named.get(window.file, ()), strict=False) if flag)
            scored.append((score + beside / 2, window))
    scored.sort(key=lambda pair: (-pair[0], pair[1].file, pair[1].position, pair[1].start))
    return [window for score, window in scored if score >= FAR_BEHIND * scored[0][0]]


def fuse(*rankings: Sequence[Place]) -> list[Place]:
    """Several rankings of places as one, by reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): what is near
    the top of both comes first, whatever their scores mean.
    """
    scores: dict[Place, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            scores[place] = scores.get(place, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))


def fuse_windows(*rankings: Sequence[Window]) -> list[Window]:
    """Several rankings of windows as one."""
    windows = {(one.file, one.position, one.start): one for ranking in rankings for one in ranking}
    places = fuse(*([(one.file, one.position, one.start) for one in ranking] for ranking in rankings))
    return [windows[place] for place in places]


def take_windows(ranked: Sequence[Window], room: int, count: Callable[[str], int]) -> list[Window]:
    """The first of a ranking that have at most `room` tokens together, in the order of files and pages."""
    chosen: list[Window] = []
    left = room
    for window in ranked:
        if len(chosen) >= MOST_PASSAGES:
            break
        size = count(window.text) + 8
        if size <= left:
            chosen.append(window)
            left -= size
    return sorted(chosen, key=lambda one: (one.file, one.position, one.start))


def names_with(names: Sequence[str], words: Sequence[Word]) -> dict[int, list[bool]]:
    """Which of the words are in each name, by its place; names without any are left out."""
    found = {at: _flags(name, words) for at, name in enumerate(names)}
    return {at: flags for at, flags in found.items() if any(flags)}


def _flags(text: str, words: Sequence[Word]) -> list[bool]:
    """Which of the words a text has, also as beginnings of its words, as the index finds them."""
    folded = fold(text)
    spaced = " " + " ".join(word.text for word in words_of(text))
    return [word.text in folded if word.unspaced else f" {word.text}" in spaced for word in words]

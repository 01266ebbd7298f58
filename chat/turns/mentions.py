"""Finds whom and what a text mentions: `@` and the name of a person, of a model, or the word `model`. Pure: no I/O.

Names may have blanks; the longest one that fits counts. Case, accents, invisible characters and marks that turn the
direction of writing do not matter, nor do letters of other scripts that look the same: unless two people's names differ
in nothing else, then only the exact spelling counts. Nothing within code is a mention, nor is an email address.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chat.moderation.matching.forms import Form

ANY_MODEL: Final = "model"  # "@model": whichever answers
SIGNS: Final = re.compile("[@＠]")
MOST_SIGNS: Final = 200  # of a text are looked at

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_TICKS: Final = re.compile("`+")
_LINE: Final = re.compile(r"[^\n]*\n?")
_BEFORE: Final = frozenset("._%+-/@＠")  # in front of an @ they make it a part of an address or of a path
# Scripts that do not separate words: Thai, Lao, Burmese, Khmer, and those of East Asia.
_UNSPACED: Final = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip  # noqa: E501


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be mentioned."""

    id: uuid.UUID
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """A mention: where it is in the text, in code points with its `@`, and whom it means; or the model, which is
    `ANY_MODEL` or the id of one.
    """

    start: int
    length: int
    person: uuid.UUID | None = None
    model: str = ""

    def stored(self) -> dict[str, Any]:
        """As it is stored with the message, and sent to clients."""
        named = {"user": str(self.person)} if self.person else {"model": self.model}
        return {"start": self.start, "length": self.length, **named}


def find_mentions(text: str, people: Sequence[Person], models: Mapping[str, str]) -> list[Found]:
    """The mentions of a text in their order. `models` has the ids of models by the names they are known by.

    Several people of one name are mentioned together, each in an entry of their own.
    """
    signs = [sign.start() for _, sign in zip(range(MOST_SIGNS), SIGNS.finditer(text), strict=False)]
    if not signs:
        return []
    names = _Names(people, models)
    form = Form(text, "folded")
    code = list(_code_spans(text))
    found: list[Found] = []
    for at in signs:
        before = text[at - 1] if at else " "
        if before.isalnum() or before in _BEFORE or any(start <= at < end for start, end in code):
            continue
        begin = form.position(at) + 1
        name = names.longest(form.text, begin)
        if name:
            _, end = form.span(begin, begin + len(name))
            found += names.meant(name, text[at + 1 : end], at, end - at)
    return found


class _Names:
    """The names that can be mentioned, by their folded form."""

    def __init__(self, people: Sequence[Person], models: Mapping[str, str]) -> None:
        self._models = {_fold(name): model for name, model in models.items()} | {ANY_MODEL: ANY_MODEL}
        self._people: dict[str, list[Person]] = {}
        for person in people:
            self._people.setdefault(_fold(person.name), []).append(person)
        self._by_first: dict[str, list[str]] = {}
        for name in sorted({*self._models, *self._people} - {""}, key=len, reverse=True):
            self._by_first.setdefault(name[0], []).append(name)

    def longest(self, text: str, begin: int) -> str:
        """The longest name that is at this place of a folded text as a whole word; empty if there is none."""
        for name in self._by_first.get(text[begin : begin + 1], ()):
            end = begin + len(name)
            if text.startswith(name, begin) and not _joined(text[end - 1], text[end : end + 1]):
                return name
        return ""

    def meant(self, name: str, written: str, start: int, length: int) -> Iterator[Found]:
        if name in self._models:
            yield Found(start, length, model=self._models[name])
            return
        people = self._people[name]
        exact = [person for person in people if _spelling(person.name) == _spelling(written)]
        for person in exact or (people if len(people) == 1 else ()):
            yield Found(start, length, person=person.id)


def _fold(name: str) -> str:
    return Form(name, "folded").text.strip()


def _spelling(name: str) -> str:
    """A name without what cannot be seen and without differences of case."""
    shown = unicodedata.normalize("NFC", Form(name, "plain").text)
    return " ".join(shown.casefold().split())


def _joined(last: str, following: str) -> bool:
    """Whether a word goes on after its last character."""
    if not following:
        return False
    if unicodedata.category(following).startswith("M"):
        return True
    if not (following.isalnum() or following == "_") or not last.isalnum():
        return False
    return not any(low <= ord(one) <= high for one in (last, following) for low, high in _UNSPACED)


def _code_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the code of a Markdown text is: fenced blocks, and what is between backticks within a paragraph."""
    fence, began = "", 0  # of the block that is open, and its start
    paragraph = 0  # where it begins
    for line in _LINE.finditer(text):
        if not line[0]:
            break
        mark = _FENCE.match(line[0])
        if fence:
            if mark and mark[1].startswith(fence) and not line[0].strip().strip(fence[0]):
                yield began, line.end()
                fence, paragraph = "", line.end()
        elif mark:
            yield from _inline_code(text, paragraph, line.start())
            fence, began = mark[1], line.start()
        elif not line[0].strip():
            yield from _inline_code(text, paragraph, line.start())
            paragraph = line.end()
    if fence:
        yield began, len(text)
    else:
        yield from _inline_code(text, paragraph, len(text))


def _inline_code(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Each run of backticks goes with the next one of the same length."""
    runs = [(found.start(), found.end()) for found in _TICKS.finditer(text, start, end)]
    later: dict[int, list[int]] = {}  # by length, the indices of runs, the last one first
    for index in range(len(runs) - 1, -1, -1):
        later.setdefault(runs[index][1] - runs[index][0], []).append(index)
    index = 0
    while index < len(runs):
        begin, after = runs[index]
        same = later[after - begin]
        while same and same[-1] <= index:
            same.pop()
        if same:
            closing = same[-1]
            yield begin, runs[closing][1]
            index = closing
        index += 1

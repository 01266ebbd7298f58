"""What reading a file gives: its parts with their text, or why it cannot be read. Pure: no Django, no I/O.

A reader of a format is a function of a path that returns a `Read` or raises `Unreadable`. It runs in a process of its
own (`workers.files.child`), which may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from chat.protocol.marks import bound_marks

PART_CHARS: Final = 6_000  # of a part that has no pages of its own: short enough to be a passage
LONGEST_PART: Final = 24_000  # characters of a page; what is longer is divided
MAX_CHARS: Final = 5_000_000  # of a whole file
MAX_PARTS: Final = 5_000
MAX_PAGES: Final = 2_000
LABEL_CHARS: Final = 80


class Unreadable(Exception):
    """The file cannot be read; `code` is one of `chat.files.reading_reasons`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Part(msgspec.Struct, frozen=True):
    """The text of one part. `number` counts from 1; of a PDF it is the page. `label` says where it is; empty: the file
    has no parts.
    """

    number: int
    label: str
    text: str


class Result(msgspec.Struct, frozen=True):
    """What the child writes into `result.json`.

    `total` is how many pages, sheets or parts the file has, of which `parts` may be fewer. `code` is why it could not
    be read, or (with `readable`) what is missing. `width` and `height` are those of an image as it is shown, in pixels.
    `images` are the numbers of the images for a model beside it: `image-<number>.<ending>`. `thumbnail`: there is one.
    """

    readable: bool
    code: str = ""
    parts: list[Part] = []
    total: int = 0
    width: int = 0
    height: int = 0
    images: list[str] = []
    thumbnail: bool = False

    @property
    def characters(self) -> int:
        return sum(len(one.text) for one in self.parts)


@dataclass(slots=True)
class Read:
    """What a reader has found so far. `total` 0: as many as there are parts."""

    parts: list[Part] = field(default_factory=list)
    total: int = 0
    code: str = ""
    width: int = 0
    height: int = 0
    images: list[str] = field(default_factory=list)
    thumbnail: bool = False
    _characters: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no more text is taken."""
        return self._characters >= MAX_CHARS or len(self.parts) >= MAX_PARTS

    def add(self, number: int, label: str, text: str) -> None:
        """Adds a part, unless it says nothing. One that is too long becomes several with the same number's label."""
        text = clean(text)
        if not text or self.is_full:
            if text:
                self.code = "too_long"
            return
        if self._characters + len(text) > MAX_CHARS:
            text = text[: MAX_CHARS - self._characters]
            self.code = "too_long"
        self._characters += len(text)
        self.parts.append(Part(number, label[:LABEL_CHARS], text))

    def add_lines(self, lines: Iterable[str], name: str, *, before: str = "") -> None:
        """Adds lines in parts of `PART_CHARS`, labelled by their numbers: `rows 1-80`. `before` goes before the label,
        as the name of a sheet. Only one part has no label of its own.
        """
        pieces = list(_pieces(lines))
        for first, last, text in pieces:
            place = f"{name} {first}-{last}"
            label = before if len(pieces) == 1 else f"{before[:40]}, {place}" if before else place
            if self.is_full:
                self.code = "too_long"
                return
            self.add(len(self.parts) + 1, label, text)

    def add_text(self, text: str, name: str = "part") -> None:
        """Adds a text in parts of `PART_CHARS`, divided at blank lines where there are any."""
        pieces = divide(text)
        for number, piece in enumerate(pieces, 1):
            self.add(number, f"{name} {number}" if len(pieces) > 1 else "", piece)


def _pieces(lines: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Lines joined to pieces: the number of the first and the last line, and the text."""
    kept: list[str] = []
    size, first, number, taken = 0, 1, 0, 0
    for number, line in enumerate(lines, 1):
        if kept and size + len(line) > PART_CHARS:
            yield first, number - 1, "\n".join(kept)
            kept, size, first = [], 0, number
        while len(line) > LONGEST_PART:
            yield number, number, line[:LONGEST_PART]
            taken += LONGEST_PART
            line = line[LONGEST_PART:]
            if taken > MAX_CHARS:
                return
        kept.append(line)
        size += len(line) + 1
        taken += len(line) + 1
        if taken > MAX_CHARS:
            break
    if kept:
        yield first, number, "\n".join(kept)


def divide(text: str, most: int = PART_CHARS) -> list[str]:
    """A text in pieces of at most `most` characters, divided at blank lines, else at lines, else anywhere."""
    pieces: list[str] = []
    at = 0
    text = text[: MAX_CHARS + 1]
    while at < len(text):
        end = min(at + most, len(text))
        if end < len(text):
            for mark in ("\n\n", "\n", " "):
                found = text.rfind(mark, at + most // 2, end)
                if found > 0:
                    end = found + len(mark)
                    break
        if piece := text[at:end].strip("\n"):
            pieces.append(piece)
        at = end
    return pieces


_CONTROLS: Final = {code: None for code in range(32) if chr(code) not in "\n\t"} | {0x7F: None, 0xFEFF: None}


def clean(text: str) -> str:
    """A text that PostgreSQL can store: no NUL, no half of a surrogate pair, and no line ending but newlines. With few
    marks on a character.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    return bound_marks(text.encode("utf-8", "replace").decode("utf-8").strip())

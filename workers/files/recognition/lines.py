"""Recognised lines in the order in which a person reads them. Pure: no I/O.

A recogniser finds lines with their places. They are sorted by rows; columns of prose are read one after the other, the
cells of a table row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

LEAST_SCORE: Final = 0.6  # what a recogniser is less sure of is left out: shapes and noise look like letters
COLUMN_LINES: Final = 4  # a column of prose has at least so many lines,
COLUMN_WIDTH: Final = 8.0  # which are so many times wider than high; narrower ones are a table's
ROW_OVERLAP: Final = 0.5  # of the lower of two lines, which then are in one row
BLANK_LINE: Final = 1.0  # of a line's height, between two rows


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text, where it is in pixels from the upper left, and how sure the recogniser is, 0 – 1."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0

    @property
    def height(self) -> float:
        return max(self.bottom - self.top, 1.0)

    @property
    def width(self) -> float:
        return self.right - self.left


class Recogniser(Protocol):
    """Made once in the child, without arguments. `read` gives the lines of an image, in any order."""

    def read(self, path: str) -> Sequence[Line]: ...


def text_of(lines: Sequence[Line]) -> str:
    """The text of an image; empty if there is none."""
    kept = [one for one in lines if one.score >= LEAST_SCORE and one.text.strip()]
    return "\n\n".join(_rows_as_text(column) for column in _columns(kept))


def _columns(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines as columns of prose from left to right; one column if there are no others."""
    if len(lines) < 2 * COLUMN_LINES:
        return [list(lines)] if lines else []
    gap = median(one.height for one in lines) / 2
    ordered = sorted(lines, key=lambda one: one.left)
    reach = ordered[0].right
    for at, line in enumerate(ordered[1:], 1):
        if line.left - reach >= gap:
            before, after = ordered[:at], ordered[at:]
            if _is_prose(before) and _is_prose(after):
                return [before, *_columns(after)]
        reach = max(reach, line.right)
    return [list(lines)]


def _is_prose(lines: Sequence[Line]) -> bool:
    return len(lines) >= COLUMN_LINES and median(one.width / one.height for one in lines) >= COLUMN_WIDTH


def _rows_as_text(lines: Sequence[Line]) -> str:
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda one: (one.top + one.bottom, one.left)):
        if rows and _in_row(line, rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    said: list[str] = []
    end = 0.0
    for row in rows:
        if said and min(one.top for one in row) - end > BLANK_LINE * median(one.height for one in row):
            said.append("")
        said.append(" ".join(one.text.strip() for one in sorted(row, key=lambda one: one.left)))
        end = max(one.bottom for one in row)
    return "\n".join(said)


def _in_row(line: Line, row: Sequence[Line]) -> bool:
    last = row[-1]
    shared = min(line.bottom, last.bottom) - max(line.top, last.top)
    return shared >= ROW_OVERLAP * min(line.height, last.height)

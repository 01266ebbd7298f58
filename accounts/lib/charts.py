"""Stacked bars as shapes for an SVG. The server draws them, so they need no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 100.0  # of the highest bar, in the drawing's units
STEP: Final = 10  # a bar and the gap after it
BAR: Final = 8


@dataclass(frozen=True, slots=True)
class Column:
    """The data of one bar: its values from bottom to top, a title, and a link."""

    title: str
    values: tuple[float, ...]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One value of a bar. `series` is its index in `Column.values`."""

    series: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its segments from bottom to top."""

    x: int
    title: str
    href: str
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from left to right. `most` is the sum of the highest bar, 0 when there is nothing to draw."""

    width: int
    most: float
    bars: list[Bar]


def draw(columns: Sequence[Column]) -> Chart:
    """Draws a bar for each column, in proportion to its sum. A value above zero is at least one unit high."""
    most = max((sum(column.values) for column in columns), default=0.0)
    bars = []
    for place, column in enumerate(columns):
        segments, top = [], HEIGHT
        for series, value in enumerate(column.values):
            if value > 0:
                height = round(max(HEIGHT * value / most, 1.0), 2)
                top = max(round(top - height, 2), 0.0)
                segments.append(Segment(series, top, height))
        bars.append(Bar(place * STEP, column.title, column.href, segments))
    return Chart(len(columns) * STEP - (STEP - BAR), most, bars)


def share(value: float, most: float) -> float:
    """`value` in percent of `most`, the longest bar of a list; 0 when `most` is 0."""
    return round(100 * value / most, 1) if most else 0.0

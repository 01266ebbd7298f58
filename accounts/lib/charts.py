"""Stacked bars as shapes for an SVG: drawn by the server, so they need no script and no style of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 100.0  # of the highest bar, in the drawing's units
STEP: Final = 10  # a bar and the gap after it
BAR: Final = 8


@dataclass(frozen=True, slots=True)
class Column:
    """What one bar stands for: values from bottom to top, a sentence about it, and what lies behind it."""

    title: str
    values: tuple[float, ...]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    series: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    title: str
    href: str
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Chart:
    """`most`: what the highest bar stands for; 0 when there is nothing to draw."""

    width: int
    most: float
    bars: list[Bar]


def draw(columns: Sequence[Column]) -> Chart:
    """Bars from left to right, high in proportion to their sums. What is there at all is at least a line."""
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
    """Percent of the longest bar of a list."""
    return round(100 * value / most, 1) if most else 0.0

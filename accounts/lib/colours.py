"""Contrast of colours (WCAG 2.2, 1.4.3 and 1.4.11), and variants of one that can be read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TEXT_CONTRAST: Final = 4.5
_SHAPE: Final = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_STEPS: Final = 100

RGB = tuple[float, float, float]
"""Red, green and blue, each from 0 to 1."""


def parse_colour(text: str) -> RGB:
    """The colour of `#rrggbb`. Raises `ValueError`."""
    if not _SHAPE.fullmatch(text):
        raise ValueError(f"{text!r} is not a colour such as #3a4fa3")
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def write_colour(colour: RGB) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def contrast(one: RGB, other: RGB) -> float:
    """From 1, the same, to 21, black on white."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def least_contrast(colour: RGB, backgrounds: Sequence[RGB]) -> float:
    """The contrast with the background on which it is read worst."""
    return min(contrast(colour, one) for one in backgrounds)


def mix(colour: RGB, other: RGB, share: float) -> RGB:
    """`share` of the other colour, from 0 to 1."""
    red, green, blue = (own + (theirs - own) * share for own, theirs in zip(colour, other, strict=True))
    return red, green, blue


def readable(colour: RGB, backgrounds: Sequence[RGB], towards: RGB) -> RGB:
    """The colour, or the nearest mixture of it and `towards` that has `TEXT_CONTRAST` with all backgrounds."""
    for step in range(_STEPS + 1):
        found = mix(colour, towards, step / _STEPS)
        # Rounded as it is written, or the written colour may miss it by little.
        if least_contrast(parse_colour(write_colour(found)), backgrounds) >= TEXT_CONTRAST:
            return found
    return towards


def _luminance(colour: RGB) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

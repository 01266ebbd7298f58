"""Contrast by WCAG 2.2, and colours that can be read."""

from __future__ import annotations

import pytest

from accounts.lib.colours import (
    TEXT_CONTRAST,
    contrast,
    least_contrast,
    mix,
    parse_colour,
    readable,
    write_colour,
)
from accounts.site import DARK, LIGHT, accent_style, on_accent

pytestmark = pytest.mark.unit
WHITE, BLACK = parse_colour("#ffffff"), parse_colour("#000000")


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    assert contrast(WHITE, WHITE) == pytest.approx(1)
    assert contrast(parse_colour("#767676"), WHITE) == pytest.approx(4.54, abs=0.005)  # known from WebAIM
    assert contrast(parse_colour("#777777"), WHITE) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("text", ["", "#fff", "blue", "#12345g", "#1234567", "#١٢٣٤٥٦"])
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(ValueError, match="not a colour"):
        parse_colour(text)


def test_written_as_it_was_read() -> None:
    assert write_colour(parse_colour("#3A4fa3")) == "#3a4fa3"
    assert write_colour(mix(BLACK, WHITE, 0.5)) == "#808080"


@pytest.mark.parametrize("accent", ["#000000", "#ffffff", "#ffff00", "#7a1f5c", "#3a4fa3", "#808080", "#00ff00"])
def test_the_nearest_that_can_be_read(accent: str) -> None:
    for papers, towards in ((LIGHT, BLACK), (DARK, WHITE)):
        found = write_colour(readable(parse_colour(accent), papers, towards))
        assert least_contrast(parse_colour(found), papers) >= TEXT_CONTRAST
    assert contrast(on_accent(parse_colour(accent)), parse_colour(accent)) >= 3


def test_what_can_be_read_already_stays() -> None:
    assert write_colour(readable(parse_colour("#3a4fa3"), LIGHT, BLACK)) == "#3a4fa3"
    assert accent_style("#3a4fa3", "#aab8f2").startswith("--accent:light-dark(#3a4fa3,#aab8f2);")
    assert accent_style("", "") == ""

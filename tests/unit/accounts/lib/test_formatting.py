"""Numbers in the language of the page."""

from __future__ import annotations

import pytest
from django.utils.formats import number_format
from django.utils.translation import override

from accounts.lib.formatting import from_to, grouped, one_digit

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("milliseconds", "wanted"), [(0, "0.0"), (1_849, "1.8"), (1_850, "1.9"), (9_949, "9.9"), (61_000, "61.0")]
)
def test_one_digit_is_rounded_as_in_the_page(milliseconds: int, wanted: str) -> None:
    with override("en"):
        assert one_digit(milliseconds) == wanted
    with override("de"):
        assert one_digit(milliseconds) == wanted.replace(".", ",")


@pytest.mark.parametrize(("language", "wanted"), [
    ("en", "1,234,567.5"), ("de", "1.234.567,5"), ("fr", "1\xa0234\xa0567,5"), ("es", "1.234.567,5"),
    ("pt-br", "1.234.567,5"), ("zh-hans", "1,234,567.5"), ("ja", "1,234,567.5"), ("ar", "1,234,567.5"),
])  # fmt: skip
def test_numbers_are_written_as_browsers_write_them(language: str, wanted: str) -> None:
    """As `Number.toLocaleString` of the language does; of blanks, only their width differs."""
    with override(language):
        assert number_format(1_234_567.5, 1, use_l10n=True, force_grouping=True) == wanted


def test_limits_in_sentences_are_grouped_as_in_the_page() -> None:
    with override("en"):
        assert (grouped(1_000), grouped(999)) == ("1,000", "999")
    with override("de"):
        assert grouped(20_000) == "20.000"


def test_an_arrow_points_as_the_language_is_read() -> None:
    with override("en"):
        assert from_to("12", "34") == "12 → 34"
    with override("ar"):
        assert from_to("12", "34") == "\u206812\u2069 ← \u206834\u2069"
        assert from_to("12", "34", "\u202f") == "\u206812\u2069\u202f←\u202f\u206834\u2069"

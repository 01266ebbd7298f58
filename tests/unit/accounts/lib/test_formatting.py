"""Numbers in the language of the page."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from accounts.lib.formatting import one_digit

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("milliseconds", "wanted"), [(0, "0.0"), (1_849, "1.8"), (1_850, "1.9"), (9_949, "9.9"), (61_000, "61.0")]
)
def test_one_digit_is_rounded_as_in_the_page(milliseconds: int, wanted: str) -> None:
    with override("en"):
        assert one_digit(milliseconds) == wanted
    with override("de"):
        assert one_digit(milliseconds) == wanted.replace(".", ",")

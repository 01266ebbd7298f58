"""Coloured states in lists of the admin, whose texts are translated."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from django.utils.translation import gettext

TEST_COLOURS: Final = {"works": "success", "fails": "danger", "untested": "default"}  # for `test_label`


class Label(NamedTuple):
    """What a method with unfold's `display(label=…)` returns: the key of the colour, and the text.

    Where unfold shows no colour, as on a read-only page, it shows the text.
    """

    key: str
    text: str

    def __str__(self) -> str:
        return self.text


def test_label(tested_at: datetime | None, passed: bool | None) -> Label:
    """The result of the last test of a row, such as an endpoint's connection; "–" if there was none."""
    if tested_at is None:
        return Label("untested", "–")
    return Label("works", gettext("passed")) if passed else Label("fails", gettext("failed"))

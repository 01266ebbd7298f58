"""How lists show the result of the last test of a row, such as an endpoint's connection."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.utils.translation import gettext

TEST_COLOURS: Final = {"works": "success", "fails": "danger"}  # unfold's, by the first value of `test_state`


def test_state(tested_at: datetime | None, passed: bool | None) -> tuple[str, str]:
    """The state and its text; "–" if there was no test yet."""
    if tested_at is None:
        return "–", "–"
    return ("works", gettext("works")) if passed else ("fails", gettext("fails"))

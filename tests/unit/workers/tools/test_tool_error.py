"""A `ToolError` is English for models and rows, and in the page's language for who waits for it."""

from __future__ import annotations

import pytest

from workers.tools import base
from workers.tools.base import ToolError

pytestmark = pytest.mark.unit


def test_the_model_and_the_person_read_the_same_in_their_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "gettext", {"%(server)s cannot be reached.": "%(server)s ist nicht erreichbar."}.get)
    error = ToolError("%(server)s cannot be reached.", {"server": "100 % Wiki"})
    assert (str(error), error.sentence, error.told) == (
        "100 % Wiki cannot be reached.", "100 % Wiki cannot be reached.", "100 % Wiki ist nicht erreichbar.",
    )  # fmt: skip


def test_a_sentence_without_values_may_have_percent_signs() -> None:
    error = ToolError("50 % of it is %(wrong)s.")
    assert error.sentence == error.told == "50 % of it is %(wrong)s."

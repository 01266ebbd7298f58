"""Sentences that are stored in English and shown in another language."""

from __future__ import annotations

import pytest

from accounts.lib import texts
from accounts.lib.texts import retold
from chat.portability import refusals

pytestmark = pytest.mark.unit

GERMAN = {
    "%(file)s is larger than %(size)s.": "%(file)s ist größer als %(size)s.",
    "%(count)s of %(most)s, %(count)s.": "%(most)s: %(count)s",
    "Try again.": "Versuchen Sie es erneut.",
}


@pytest.fixture(autouse=True)
def german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "gettext", lambda source: GERMAN.get(source, source))


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("a.json is larger than 2 MB.", "a.json ist größer als 2 MB."),
        ("100 % (a)\nb.json is larger than 2 MB.", "100 % (a)\nb.json ist größer als 2 MB."),
        ("Try again.", "Versuchen Sie es erneut."),
        ("a.json is larger than 2 MB", "a.json is larger than 2 MB"),
        ("What a reviewer wrote.", "What a reviewer wrote."),
        ("", ""),
    ],
)
def test_a_stored_sentence_is_shown_in_the_language(stored: str, shown: str) -> None:
    assert retold(stored, [refusals.TOO_LARGE]) == shown


def test_what_an_import_stores_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text with values in it is among those that are tried, and none is taken for another one."""
    monkeypatch.setattr(texts, "gettext", lambda source: f"<{source}>")
    values = dict.fromkeys(("file", "size", "problem", "line", "column", "byte", "error", "most", "count", "key", "id",
                            "number", "title", "name"), "x")  # fmt: skip
    made = {name: text for name, text in vars(refusals).items() if name[0].isupper() and isinstance(text, str)}
    assert len(made) > 25
    for text in made.values():
        assert refusals.retold(text % values) == f"<{text}>" % values

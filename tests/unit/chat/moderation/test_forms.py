"""`chat.moderation.matching.forms`: what is searched, and that every offset leads back to whole characters."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from chat.moderation.matching.forms import folded, plain

pytestmark = pytest.mark.unit

MARKS = "\u0301\u0323\u200b\u200d\u00ad\ufe0f\u202e\u3099\n\t\u00a0"
ODD = st.text(st.sampled_from("aAeéßﬁ①０ Ǆİς👩🏽🚀🇩🇪अिक्षبِעָ각ᄀ가かсеху" + MARKS), max_size=40)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("FÜR Straße", "fur strasse"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("f\u200bu\u00adc\u2060k", "fuck"),
        ("u\u0308ber\u0301", "uber"),
        ("ﬁne", "fine"),
        ("ѕһіт", "shit"),  # Cyrillic
        ("one \n\t two", "one two"),
        ("किताब", "किताब"),  # vowel signs are letters' content, not accents
        ("각", "각"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_what_is_searched_for_words(written: str, form: str) -> None:
    assert folded(written).text == form


def test_patterns_see_case_and_accents() -> None:
    assert plain("Caf\u00e9\u200b №\u00a05 ０").text == "Café No 5 0"


@pytest.mark.parametrize("form", [plain, folded])
@given(text=ODD, data=st.data())
def test_every_span_is_made_of_whole_characters(form, text: str, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    made = form(text)
    if not made.text:
        return
    start = data.draw(st.integers(0, len(made.text) - 1))
    end = data.draw(st.integers(start + 1, len(made.text)))
    first, last = made.span(start, end)
    edges = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    assert first in edges
    assert last in edges
    assert first < last
    assert made.text[start:end] in form(text[first:last]).text or made.text[start:end].strip() == ""


@given(ODD | st.text(max_size=60))
def test_a_form_of_a_form_is_itself(text: str) -> None:
    once = folded(text).text
    assert folded(once).text == once


def test_the_quick_way_for_ascii_is_the_same() -> None:
    text = "".join(map(chr, range(32, 127)))
    assert folded(text).text == "".join(folded(each + "\u00e9").text[:-1] for each in text)
    assert plain(text).text == "".join(plain(each + "\u00e9").text[:-1] for each in text)

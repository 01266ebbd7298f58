"""Texts that may be JSON are searched as they read without escapes; what is masked leaves JSON that can be read."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chat.moderation.matching.matcher import Action, Hit, Matcher, Rule
from chat.moderation.structured import search_json, search_value

BAD = "Xylophone"
MATCHER = Matcher([Rule(0, Action.MASK, words=(BAD,)), Rule(1, Action.FLAG, words=("drum",))])
WORDS = st.text(max_size=12) | st.sampled_from([BAD, "drum"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_what_is_masked_is_in_no_string(value: Any, escapes: bool) -> None:
    text = json.dumps(value, ensure_ascii=escapes)
    searched = search_json(MATCHER.find, text)
    shown = json.loads(searched.masked)
    assert not any(hit.action is Action.MASK for one in strings(shown) for hit in MATCHER.find(one))
    found = any(hit.action is Action.MASK for one in strings(value) for hit in MATCHER.find(one))
    if not found:
        assert shown == value
        assert all(hit.action is not Action.MASK for hit in searched.hits)
    else:
        assert any(hit.action is Action.MASK for hit in searched.hits), "its case has it"
    assert all(0 <= hit.start <= hit.end <= len(searched.original) for hit in searched.hits)


@given(st.text(max_size=40))
def test_any_text_has_a_result(text: str) -> None:
    searched = search_json(MATCHER.find, text)
    assert searched.text == text


def test_a_hit_between_two_strings_masks_the_whole() -> None:
    pair = Matcher([Rule(0, Action.MASK, patterns=(r'"password": "\w+"',))])
    searched = search_json(pair.find, '{"password": "tiger"}')
    assert searched.masked == "{***}"
    assert searched.hits == (Hit(1, 20, 0, Action.MASK),)


def test_a_number_that_is_masked_becomes_a_string() -> None:
    numbers = Matcher([Rule(0, Action.MASK, patterns=(r"\b\d{8}\b",))])
    assert search_value(numbers.find, [12345678, 1.5, True, None])[0] == ["***", 1.5, True, None]
    assert search_json(numbers.find, "[12345678]").masked == '["***"]'


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, one in value.items() for text in (name, *strings(one))]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []

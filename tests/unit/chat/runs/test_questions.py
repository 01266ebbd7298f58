"""Questions of tools: whatever a server sends as a schema, a form can show what is kept, and answers are checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.runs.questions import check_answer, usable_question

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
KEYWORDS = [
    *("type", "title", "description", "enum", "enumNames", "format", "minimum", "maximum", "minLength", "maxLength"),
    *("default", "pattern", "$ref", "oneOf", "anyOf", "items", "minItems", "maxItems"),
]
fields = st.dictionaries(st.sampled_from(KEYWORDS), json_values, max_size=5).flatmap(
    lambda found: st.sampled_from(["string", "number", "integer", "boolean", "array", ""]).map(
        lambda kind: {"type": kind, **found} if kind else found
    )
)
schemas = st.fixed_dictionaries(
    {"properties": st.dictionaries(st.text(max_size=10), fields, max_size=3) | json_values},
    optional={"type": st.just("object") | json_values, "required": json_values, "$defs": json_values},
)


def schema(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    kept: dict[str, Any] = usable_question("?", {"properties": properties, "required": required or []})["schema"]
    return kept


@given(st.text(), schemas)
def test_whatever_a_server_sends(sentence: str, found: dict[str, Any]) -> None:
    try:
        question = usable_question(sentence, found)
    except ValueError:
        return
    assert usable_question(question["sentence"], question["schema"]) == question, "it is usable as it is kept"
    text = json.dumps(question, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text.encode().decode(), "PostgreSQL does not store it, nor half a character"
    for field in question["schema"]["properties"].values():
        assert field["type"] in ("string", "number", "integer", "boolean", "array")
        assert not {"pattern", "$ref", "oneOf", "anyOf"} & set(field)


@given(schemas, st.dictionaries(st.text(max_size=10), json_values, max_size=4))
def test_an_answer_fits_or_is_refused(found: dict[str, Any], answer: dict[str, Any]) -> None:
    try:
        kept = usable_question("?", found)["schema"]
    except ValueError:
        return
    try:
        checked = check_answer(kept, answer)
    except ValueError:
        return
    assert set(kept["required"]) <= set(checked) <= set(kept["properties"])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "not an object"), ({"properties": {}}, "no field"), ({"type": "array"}, "not an object"),
        ({"properties": {"a": {"type": "object"}}}, "field a is not a string"),
        ({"properties": {"a": {"type": "string"}}, "required": ["b"]}, "requires a field"),
        ({"properties": {str(n): {"type": "string"} for n in range(21)}}, "more than 20"),
        ({"properties": {"a": {"type": "string", "enum": [1]}}}, "choices"),
    ],
)  # fmt: skip
def test_questions_that_nobody_can_be_asked(found: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        usable_question("?", found)


def test_the_fields_keep_their_order() -> None:
    made = schema(zebra={"type": "string"}, apple={"type": "string"}, kiwi={"type": "boolean"})
    assert made["order"] == ["zebra", "apple", "kiwi"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "Your name: an answer is needed"), ({"name": ""}, "at least 1"), ({"name": "x" * 11}, "at most 10"),
        ({"name": "x" * 10_001}, "at most 10000"), ({"name": "a", "n": 11}, "n: at most 10"),
        ({"name": "a", "n": "1"}, "n: this is not a number"),
    ],
)  # fmt: skip
def test_answers_are_checked_in_the_words_of_the_form(answer: dict[str, Any], said: str) -> None:
    made = schema(
        ["name"],
        name={"type": "string", "title": "Your name", "minLength": 1, "maxLength": 10, "pattern": "(a+)+$"},
        n={"type": "number", "maximum": 10},
    )
    with pytest.raises(ValueError, match=said):
        check_answer(made, answer)
    assert check_answer(made, {"name": "aaaa", "n": 1.5, "other": 1}) == {"name": "aaaa", "n": 1.5}


def test_choices_with_titles_and_several_choices() -> None:
    """As the newest MCP writes them."""
    titled = [{"const": "f1", "title": "Tuna"}, {"const": "f2", "title": "Trout"}]
    found = schema(
        ["many"],
        one={"type": "string", "oneOf": titled},
        many={"type": "array", "title": "Fish", "items": {"anyOf": titled}, "minItems": 1, "default": ["f1"]},
        plain={"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}, "maxItems": 2},
    )
    fields = found["properties"]
    assert fields["one"] == {"type": "string", "enum": ["f1", "f2"], "enumNames": ["Tuna", "Trout"]}
    assert fields["many"]["items"] == {"type": "string", "enum": ["f1", "f2"], "enumNames": ["Tuna", "Trout"]}
    assert (fields["many"]["minItems"], fields["many"]["default"]) == (1, ["f1"])
    right = {"one": "f2", "many": ["f1", "f2"], "plain": ["b"]}
    assert check_answer(found, right) == right
    for wrong, said in (
        ({}, "Fish: an answer is needed"),
        ({"many": []}, "Fish: choose at least 1"),
        ({"many": ["f3"]}, "Fish: this is none of the choices"),
        ({"many": ["f1", "f1"]}, "Fish: this does not fit"),
        ({"many": "f1"}, "Fish: this is not a list"),
        ({"many": ["f1"], "plain": ["a", "b", "c"]}, "plain: choose at most 2"),
        ({"many": [["f1"]]}, "Fish: this is"),
    ):
        with pytest.raises(ValueError, match=said):
            check_answer(found, wrong)


@pytest.mark.parametrize(
    "items",
    [None, {}, {"type": "string"}, {"type": "integer", "enum": [1]}, {"anyOf": []}, {"oneOf": [{"title": "x"}]}],
)
def test_a_list_of_anything_is_no_field(items: object) -> None:
    with pytest.raises(ValueError, match="choices of the question's field many"):
        schema(many={"type": "array", "items": items})

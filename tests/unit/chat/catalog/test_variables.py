"""The variables in a prompt's text: what is one, what is text, and that the time is linear in the text."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.catalog.variables import MAX_NAME, Use, Variable, fill, parse, variables_of

pytestmark = pytest.mark.unit

TEXTS = st.text(alphabet=st.sampled_from("{}|ab_1 -\t\né漢\u0301"), max_size=60) | st.text(max_size=40)


def names(text: str) -> list[str]:
    return [one.name for one in variables_of(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("{{a}}", [Use("a")]),
        ("Hi {{ first name }}!", ["Hi ", Use("first name"), "!"]),
        ("{{a}}{{b|x}}", [Use("a"), Use("b")]),
        ("{{a|two\nlines}}", [Use("a")]),
        ("{{a| {single} }}", [Use("a")]),
        ("{{größe}} {{漢字}}", [Use("größe"), " ", Use("漢字")]),
        ("{{{a}}}", ["{", Use("a"), "}"]),
        ("{{a|{{b}}}}", ["{{a|", Use("b"), "}}"]),
        ("{{a", ["{{a"]),
        ("{{a}", ["{{a}"]),
        ("{{a|x", ["{{a|x"]),
        ("{{}}", ["{{}}"]),
        ("{{ }}", ["{{ }}"]),
        ("{{1st}}", ["{{1st}}"]),
        ("{{a.b}}", ["{{a.b}}"]),
        ("{{a\nb}}", ["{{a\nb}}"]),
        ("{{a}} and {{a", [Use("a"), " and {{a"]),
        ("{{नाम}}", [Use("नाम")]),
        ("{{f(x)}} {{ a = b }} {{'a'}}", ["{{f(x)}} {{ a = b }} {{'a'}}"]),
        ("{{e\u0301}}", [Use("é")]),
        ("{{" + "a" * MAX_NAME + "}}", [Use("a" * MAX_NAME)]),
        ("{{" + "a" * (MAX_NAME + 1) + "}}", ["{{" + "a" * (MAX_NAME + 1) + "}}"]),
        ("{% if %} {# no #}", ["{% if %} {# no #}"]),
    ],
)
def test_what_is_a_variable_and_what_is_text(text: str, pieces: list[str | Use]) -> None:
    assert list(parse(text)) == pieces


def test_each_name_is_asked_for_once_with_its_first_default() -> None:
    assert variables_of("{{a}} {{b|x}} {{a|1}} {{a|2}} {{ b }}") == [Variable("a", "1"), Variable("b", "x")]
    assert variables_of("{{a|}}") == [Variable("a")]
    assert variables_of("{{a| padded }}") == [Variable("a", "padded")]


def test_long_defaults_have_long_fields() -> None:
    assert variables_of("{{a|one\ntwo}}") == [Variable("a", "one\ntwo", long=True)]
    assert variables_of("{{a|" + "x" * 81 + "}}")[0].long
    assert not variables_of("{{a|" + "x" * 80 + "}}")[0].long


def test_special_names_are_asked_for_only_with_a_default() -> None:
    assert names("{{date}} {{time}} {{clipboard}}") == ["clipboard"]
    assert names("{{date|tomorrow}} {{date}}") == ["date"]


def test_filling_in_does_not_fill_in_again() -> None:
    assert fill(parse("{{a}}-{{b}}-{{c}}"), {"a": "{{b}}", "b": "1"}) == "{{b}}-1-"


@given(TEXTS)
@example("{{a|{{b|c}}}}")
@example("{{{{a}}}}")
def test_nothing_is_lost(text: str) -> None:
    """Plain pieces, in their order, are pieces of the text; without variables the text comes back as it is."""
    pieces = list(parse(text))
    at = 0
    for piece in pieces:
        if isinstance(piece, str):
            assert piece
            at = text.index(piece, at) + len(piece)
    if not any(isinstance(piece, Use) for piece in pieces):
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == text
    assert {piece.name for piece in pieces if isinstance(piece, Use)} >= set(names(text))


@given(TEXTS, TEXTS)
def test_text_around_a_variable_does_not_hide_it(before: str, after: str) -> None:
    assert Use("kept") in list(parse(f"{before} {{{{kept}}}} {after}"))


@given(st.text(alphabet=st.characters(exclude_characters="{}|"), max_size=50), st.text(alphabet="ab \n}", max_size=20))
def test_a_default_comes_back(value: str, other: str) -> None:
    found = variables_of("{{name|" + value + "}}" + other)
    assert found == [Variable("name", value.strip(), long="\n" in value.strip() or len(value.strip()) > 80)]


@pytest.mark.parametrize("unit", ["{{", "{{a|", "{{ ", "{{a ", "{", "}}", "{{a|b}", "{{a}}", "{{é|\n"])
def test_the_time_is_linear_in_the_text(unit: str) -> None:
    """Ten times the text takes about ten times as long, not the hundred times of a square."""

    def seconds(count: int) -> float:
        text = unit * count
        best = float("inf")
        for _ in range(3):
            start = time.thread_time()
            list(parse(text))
            best = min(best, time.thread_time() - start)
        return best

    assert seconds(50_000) < 60 * max(seconds(5_000), 0.0005)

"""Stop texts that arrive in pieces, and the requests of both formats as turns."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chat.api import completions, responses
from chat.api.errors import ApiError
from chat.api.stopping import StopFilter

MOST = 10_000


@pytest.mark.parametrize(
    ("stops", "text", "passed"),
    [
        (["END"], "one END two", "one "),
        (["END"], "one EN two", "one EN two"),
        (["ab", "b"], "xaab", "xa"),
        (["aab"], "aaab!", "a"),
        ([], "all of it", "all of it"),
        (["\n\n"], "a\n\nb", "a"),
    ],
)
def test_stop_texts_are_found_however_the_text_is_cut(stops: list[str], text: str, passed: str) -> None:
    for seed in range(50):
        chance = random.Random(seed)
        filter_, found, at = StopFilter(stops), "", 0
        while at < len(text):
            step = chance.randint(1, 4)
            found += filter_.feed(text[at : at + step])
            at += step
        if not filter_.hit:
            found += filter_.end()
        assert found == passed == filter_.text


def test_nothing_is_passed_that_would_have_to_be_taken_back() -> None:
    filter_ = StopFilter(["STOP"])
    assert [filter_.feed(piece) for piece in ("a S", "TO", "x ST", "OP b", "c")] == ["a ", "", "STOx ", "", ""]
    assert filter_.hit


def test_instructions_are_no_part_of_what_follows() -> None:
    asked = responses.read_request({"model": "m", "instructions": "Be brief.", "input": "hi"}, MOST)
    assert (asked.turns, asked.head) == ([("system", "Be brief."), ("user", "hi")], 1)
    asked = responses.read_request({"model": "m", "instructions": "  ", "input": "hi"}, MOST)
    assert (asked.turns, asked.head) == ([("user", "hi")], 0)


def test_items_of_earlier_responses() -> None:
    given: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "two", "annotations": []}]},
        {"role": "user", "content": "three"},
    ]  # fmt: skip
    asked = responses.read_request({"model": "m", "input": given}, MOST)
    assert asked.turns == [("user", "one"), ("assistant", "two"), ("user", "three")]


def test_control_characters_and_halves_of_characters_go() -> None:
    asked = completions.read_request(
        {"model": "m", "messages": [{"role": "user", "content": "a\x00b\x1b\ud800c\n"}]}, MOST
    )
    assert asked.turns == [("user", "ab�c\n")]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "tool", "content": "x"}],
        [{"role": "assistant", "tool_calls": [{}]}, {"role": "user", "content": "x"}],
        [{"role": "user", "content": 5}],
        ["x"],
        "x",
    ],
)
def test_messages_that_cannot_be_asked(messages: Any) -> None:
    with pytest.raises(ApiError) as refused:
        completions.read_request({"model": "m", "messages": messages}, MOST)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("plain", "text"), ([1], "text"), ({"format": "plain"}, "text.format"),
        ({"format": {"type": "grammar"}}, "text.format"), ({"format": {"type": "json_schema"}}, "text.format.name"),
    ],
)  # fmt: skip
def test_other_formats_of_a_response_are_refused(text: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        responses.read_request({"model": "m", "input": "hi", "text": text}, MOST)
    assert refused.value.param == param

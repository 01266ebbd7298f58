"""Which calls can be made as a model asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.models import ToolCall
from tests.fixtures.tool_runs import CountingTool
from workers.generation.steps.checks import MOST_CALLS, Repetitions, as_new_calls, read_arguments, refusal
from workers.providers.base import RequestedCall


@pytest.mark.parametrize(("text", "found"), [("", {}), (" \n", {}), ("{}", {}), ('{"a": [1, null]}', {"a": [1, None]})])
def test_arguments_are_a_json_object(text: str, found: dict[str, Any]) -> None:
    assert read_arguments(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1', "no valid JSON"),
        ("call me", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"a": NaN}', "no valid JSON"),
        ("[1]", "not a list"),
        ('"x"', "not a text"),
        ("7", "not a number"),
        ("true", "not a truth value"),
        ("null", "not another value"),
    ],
)
def test_other_arguments_are_explained(text: str, said: str) -> None:
    found = read_arguments(text)
    assert isinstance(found, str)
    assert said in found


def test_calls_are_bounded_and_have_ids_of_their_own() -> None:
    asked = [RequestedCall("same", "look", "{}") for _ in range(100)]
    made = as_new_calls(
        [*asked[:2], RequestedCall("", "no\x00ne" * 100, "x" * 10**6), *asked], {"look": CountingTool()}
    )
    assert len(made) == MOST_CALLS
    assert len({call.upstream_id for call in made}) == MOST_CALLS
    assert (len(made[2].name), len(made[2].arguments)) == (128, 64 * 1024 + 1)
    assert [made[0].title, made[0].effect, made[2].effect] == ["Look", "reads", "reads"]
    assert refusal(ToolCall(name="look", arguments=made[2].arguments), {"look": CountingTool()}).startswith(
        "The arguments are too long"
    )


def test_what_a_person_edited_is_checked() -> None:
    call = ToolCall(name="look", arguments='{"a": 1', edited_arguments='{"a": 1}')
    assert refusal(call, {"look": CountingTool()}) == ""
    assert "There is no tool" in refusal(call, {"other": CountingTool()})


def test_the_same_call_is_counted_whatever_its_spelling() -> None:
    repetitions = Repetitions()
    calls = [ToolCall(name="look", arguments=json.dumps({"a": 1, "b": 2}, indent=n)) for n in range(5)]
    calls[1].arguments = '{"b":2,"a":1}'
    said = [repetitions.note(call) for call in calls[:4]]
    assert [bool(one) for one in said] == [False, False, True, True]
    assert repetitions.note(calls[2]) == said[2], "a call counts once, also when it is looked at again"
    before = repetitions.too_many
    repetitions.note(calls[4])
    assert (before, repetitions.too_many) == (False, True)
    assert repetitions.note(ToolCall(name="look", arguments="{}")) == ""

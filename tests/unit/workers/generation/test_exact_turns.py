"""A request of the API as its model gets it."""

from __future__ import annotations

import json
import uuid
from typing import Any

from chat.runs.claims import Claim
from chat.runs.context import ClaimedRun
from chat.runs.exact_request import read_exact
from workers.generation.exact_turns import exact_turns, functions_of
from workers.generation.request_context import NothingKnown, RequestContext
from workers.providers.base import CallChoice, ChatTurn, RequestedCall

NIL = uuid.UUID(int=0)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ROWS: list[Any] = [
    ["system", "Be brief."],
    ["user", "What is the weather?", [str(NIL)]],
    ["assistant", "I look."],
    ["call", '{"city": "Ulm"}', [], ["c1", "weather"]],
    ["call", "{}", [], ["c2", "now"]],
    ["tool", "", [], ["c2", ""]],
    ["tool", "15 °C", [], ["c1", ""]],
    ["call", "{}", [], ["c3", "now"]],
    ["tool", "noon", [], ["c3", "now"]],
    ["user", "Thanks"],
]
FUNCTION = ["function", json.dumps({"description": "d", "parameters": SCHEMA, "strict": True}), [], ["", "weather"]]


def claim_of(rows: list[Any], **asked: Any) -> Claim:
    request = read_exact(rows)
    run = ClaimedRun(NIL, NIL, NIL, NIL, "m", 1, 0, None, "")
    return Claim(run, "", request.path, asked=asked, exact=request)


def test_calls_belong_to_the_message_before_them() -> None:
    request = read_exact([*ROWS, FUNCTION])
    assert request.placed == {1: [NIL]}
    assert exact_turns(request) == [
        ChatTurn("system", "Be brief."),
        ChatTurn("user", "What is the weather?"),
        ChatTurn(
            "assistant", "I look.",
            calls=(RequestedCall("c1", "weather", '{"city": "Ulm"}'), RequestedCall("c2", "now", "{}")),
        ),
        ChatTurn("tool", "", call_id="c2", name="now"),
        ChatTurn("tool", "15 °C", call_id="c1", name="weather"),
        ChatTurn("assistant", "", calls=(RequestedCall("c3", "now", "{}"),)),
        ChatTurn("tool", "noon", call_id="c3", name="now"),
        ChatTurn("user", "Thanks"),
    ]  # fmt: skip


def test_what_the_program_wants_of_the_calls() -> None:
    asked = functions_of(claim_of([*ROWS, FUNCTION]))
    [tool] = asked.tools
    assert (tool.name, tool.description, tool.parameters, tool.exact, tool.strict) == (
        "weather",
        "d",
        SCHEMA,
        True,
        True,
    )
    assert (asked.choice, asked.call_no_more) == (CallChoice(needed=True), False)
    forced = functions_of(claim_of([*ROWS, FUNCTION], choice="=weather", one_call=True))
    assert forced.choice == CallChoice(required=True, name="weather", one=True, needed=True)
    assert functions_of(claim_of([*ROWS, FUNCTION], choice="required")).choice == CallChoice(required=True, needed=True)
    silent = functions_of(claim_of([*ROWS, FUNCTION], choice="none"))
    assert (silent.call_no_more, silent.choice.needed) == (True, False)


def test_functions_that_are_not_offered_any_more() -> None:
    """Some APIs refuse calls of tools that the request does not have."""
    asked = functions_of(claim_of(ROWS))
    assert ([tool.name for tool in asked.tools], asked.call_no_more) == (["now", "weather"], True)
    assert functions_of(claim_of(ROWS[:2])).tools == ()


def test_a_masked_description_leaves_the_function() -> None:
    request = read_exact([["user", "x"], ["function", '{"description": [masked]', [], ["", "weather"]]])
    [function] = request.functions
    assert (function.name, function.parameters) == ("weather", {"type": "object", "properties": {}})


def test_functions_count_for_the_window() -> None:
    plain, offered = claim_of(ROWS), claim_of([*ROWS, FUNCTION])
    used = RequestContext(plain, NothingKnown()).used
    assert RequestContext(offered, NothingKnown(), functions_of(offered)).used > used

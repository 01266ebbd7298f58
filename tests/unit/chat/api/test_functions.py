"""Functions of a program, its calls and their results: both formats as turns, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.api import completions, responses
from chat.api.errors import ApiError
from chat.protocol.functions import question_of, strings_of
from chat.turns.api_requests import written

MOST = 400_000
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "weather", "description": "The weather of a city.", "parameters": SCHEMA}
TOOL: Any = {"type": "function", "function": WEATHER}
CALL: Any = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
USER: Any = {"role": "user", "content": "What is the weather in Ulm?"}
DEEP = json.loads("[" * 60 + "]" * 60)
OFFERED = ("function", json.dumps({"description": "The weather of a city.", "parameters": SCHEMA}))


def read(**fields: Any) -> Any:
    return completions.read_request({"model": "m", "messages": [USER], "tools": [TOOL], **fields}, MOST)


def test_a_whole_exchange_in_both_formats() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "15 °C"}]},
    ]
    asked = read(messages=messages, tool_choice="required", parallel_tool_calls=False)
    turns = [
        ("user", USER["content"]), ("call", '{"city": "Ulm"}'), ("call", '{"city": "Ulm"}'), ("tool", ""),
        ("tool", "15 °C"), OFFERED,
    ]  # fmt: skip
    notes = {
        1: ("call_1", "weather"), 2: ("call_2", "weather"), 3: ("call_2", "weather"), 4: ("call_1", "weather"),
        5: ("", "weather"),
    }  # fmt: skip
    assert (asked.turns, asked.notes, asked.choice, asked.one_call) == (turns, notes, "required", True)
    items = [
        USER,
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'},
        {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "weather", "arguments": '{"city": "Ulm"}'},
        {"type": "function_call_output", "call_id": "call_2", "output": ""},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "15 °C"}]},
    ]
    body = {"model": "m", "input": items, "instructions": "Be brief.", "tools": [{"type": "function", **WEATHER}],
            "tool_choice": {"type": "function", "name": "weather"}}  # fmt: skip
    asked = responses.read_request(body, MOST)
    assert asked.turns == [("system", "Be brief."), *turns]
    assert asked.notes == {number + 1: note for number, note in notes.items()}
    assert (asked.choice, asked.head, asked.echoed["parallel_tool_calls"]) == ("=weather", 1, True)
    shown = written(asked.turns, asked.notes)
    assert "Call of weather:\n" in shown
    assert "Result of weather:\n15 °C" in shown
    assert shown.index("Function weather:\n{") > shown.index("15 °C")
    assert question_of(asked.turns) == USER["content"]


def test_results_alone_follow_an_earlier_response() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "15 °C"}
    asked = responses.read_request({"model": "m", "input": [output], "previous_response_id": "resp_1"}, MOST)
    assert (asked.turns, asked.notes) == ([("tool", "15 °C")], {0: ("call_1", "")})
    with pytest.raises(ApiError) as refused:
        responses.read_request({"model": "m", "input": [output]}, MOST)
    assert refused.value.code == "missing_required_parameter"


def test_what_programs_leave_out() -> None:
    bare: Any = {"type": "function", "function": {"name": "now"}}
    asked = read(tools=[bare], tool_choice=None, parallel_tool_calls=None)
    assert json.loads(asked.turns[-1][1]) == {"description": "", "parameters": {"type": "object", "properties": {}}}
    assert (asked.choice, asked.one_call) == ("", False)
    strict: Any = {"type": "function", "function": {**WEATHER, "strict": True}}
    assert json.loads(read(tools=[strict]).turns[-1][1])["strict"] is True
    assert read(tools=[], tool_choice="auto", parallel_tool_calls=False).turns == [("user", USER["content"])]


def test_needless_escapes_do_not_hide_words() -> None:
    call = {**CALL, "function": {"name": "weather", "arguments": '{"city": "\\u0055lm"}'}}
    messages = [USER, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1"}]
    assert read(messages=messages).turns[1] == ("call", '{"city": "Ulm"}')
    assert strings_of('{"a": ["x\\ny", 1, {"b": "z"}]}') == "a\nx\ny\nb\nz"
    assert strings_of('{"a": "no escapes"}') == ""
    assert strings_of("\\ no JSON") == ""


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"tools": "weather"}, "tools", "invalid_type"),
        ({"tools": [TOOL] * 129}, "tools", "invalid_value"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "a" * 65}}]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}]},
         "tools[0].function.parameters", "invalid_type"),
        ({"tools": [{"type": "function", "function": {"name": "a", "description": "x" * 40_000}}]},
         "tools[0].function", "too_large"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"x": DEEP}}}]},
         "tools[0].function.parameters", "too_large"),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "unsupported_parameter"),
        ({"tool_choice": "required", "tools": []}, "tool_choice", "invalid_value"),
        ({"tool_choice": "sometimes"}, "tool_choice", "invalid_value"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls", "invalid_type"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]}, "messages", "invalid_value"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "messages[1].tool_calls[0]",
         "unsupported_parameter"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id",
         "missing_required_parameter"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "x" * 201}]}, "messages[1].tool_call_id",
         "invalid_value"),
        ({"messages": [USER, {"role": "function", "content": "x"}]}, "messages[1].role", "unsupported_parameter"),
        ({"functions": [WEATHER]}, "functions", "unsupported_parameter"),
    ],
)  # fmt: skip
def test_what_is_refused(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(**fields)
    assert (refused.value.param, refused.value.code) == (param, code)


def test_calls_and_names_count_for_the_size() -> None:
    calls = [{**CALL, "id": f"{number:0200}"} for number in range(50)]
    with pytest.raises(ApiError) as refused:
        completions.read_request(
            {"model": "m", "messages": [USER, {"role": "assistant", "tool_calls": calls}, USER]}, 10_000
        )
    assert refused.value.code == "too_large"

"""Each place of a request of either format with each odd value: it is read, or refused as the client's fault."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from chat.api import completions, responses
from chat.api.errors import ApiError
from chat.turns.api_requests import written

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "auto", "\ud800", "\x00a", [], {}, [None], [{}], [[]], {"type": 5},
    {"type": "function"}, {"type": "function", "function": {"name": "f"}}, {"a": {"b": [1]}},
]  # fmt: skip
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
COMPLETION: Any = {
    "model": "m", "stream": False, "stream_options": {"include_usage": True}, "stop": ["a"], "temperature": 1,
    "max_tokens": 5, "reasoning_effort": "low", "response_format": {"type": "text"}, "parallel_tool_calls": False,
    "tools": [{"type": "function", "function": {
        "name": "f", "description": "d", "strict": True, "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
}  # fmt: skip
RESPONSE: Any = {
    "model": "m", "instructions": "i", "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"},
    "metadata": {}, "previous_response_id": "resp_x", "tools": [{"type": "function", "name": "f", "parameters": {}}],
    "tool_choice": {"type": "function", "name": "f"},
    "input": [
        {"role": "user", "content": "q"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
    ],
}  # fmt: skip


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*place, key))


def put(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("reader", "body"), [(completions, COMPLETION), (responses, RESPONSE)], ids=["completions", "responses"]
)
def test_an_odd_value_anywhere(reader: Any, body: Any) -> None:
    crashed, taken = [], 0
    for place in places(body):
        for value in ODD:
            try:
                asked = reader.read_request(put(body, place, value), 100_000)
                taken += bool(written(asked.turns, asked.notes))
            except ApiError:
                continue
            except Exception as error:
                crashed.append((place, value, repr(error)))
    assert crashed == []
    assert taken > 50

"""What each API is asked for an effort, and what becomes of events with odd fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import ChatWire
from tests.fakes.dialects.openai_responses import ResponsesWire
from tests.fakes.dialects.script import Script
from tests.unit.workers.providers.dialect_calls import read, wanted
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.base import Effort, ProviderError
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect
from workers.providers.http.learned import find_lesson
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

DIALECTS: list[Callable[[], Dialect]] = [
    OpenAIDialect,
    ResponsesDialect,
    AnthropicDialect,
    GeminiDialect,
    OllamaDialect,
]


@pytest.mark.parametrize("make", DIALECTS)
@pytest.mark.parametrize("odd", [{}, [], 7, "x", None, {"type": []}, {"error": None}, {"message": 7, "done": 0}])
def test_an_odd_event_raises_nothing_but_a_providers_error(make: Callable[[], Dialect], odd: object) -> None:
    reader, chunks, _ = read(make(), odd, odd)
    assert chunks == []
    assert reader.failure is None or isinstance(reader.failure, ProviderError)


FIXTURES = (ChatWire(), ResponsesWire(), AnthropicWire(), GeminiWire(), OllamaWire())


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 7.5, "odd", "", [], {}, [7], ["x"], {"type": 7}, {"text": []}, 10**30]
)


def _replaced(value: Any, path: list[int], odd: object) -> Any:
    """`value` with something else at one place, which `path` chooses."""
    if not path or not isinstance(value, dict | list) or not value:
        return odd
    names = list(value) if isinstance(value, dict) else range(len(value))
    place = names[path[0] % len(names)]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place] = _replaced(value[place], path[1:], odd)
    return copy


@given(
    which=st.integers(0, len(FIXTURES) - 1),
    number=st.integers(0, 50),
    path=st.lists(st.integers(0, 50), min_size=1, max_size=6),
    odd=ODD,
    whole=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_field_of_another_type_never_raises_and_numbers_are_bounded(
    which: int, number: int, path: list[int], odd: object, whole: bool
) -> None:
    wire, make = FIXTURES[which], DIALECTS[which]
    script = Script(reasoning=("think ",), thought=2)
    reader = make().reader((), lambda _kind, _found: None)
    if whole:
        body = json.dumps(_replaced(wire.whole(script), path, odd)).encode()
    else:
        events = wire.events(script)[1]
        place = number % len(events)
        head, colon, payload = events[place].rpartition(b"data: ")
        if payload.strip() != b"[DONE]":
            events[place] = head + colon + json.dumps(_replaced(json.loads(payload), path, odd)).encode() + b"\n\n"
        body = b"".join(events)
    chunks = reader.feed(body)
    if not reader.done and reader.failure is None:
        chunks += reader.end()
    assert reader.failure is None or reader.failure.code in (
        "upstream_garbage", "upstream_error", "upstream_cut", "upstream_tool_call",
    )  # fmt: skip
    for chunk in chunks:
        assert isinstance(chunk.text, str)
        assert isinstance(chunk.reasoning, str)
        if chunk.usage is not None:
            assert 0 <= chunk.usage.cached_tokens <= chunk.usage.input_tokens <= 100_000_000
            assert 0 <= chunk.usage.reasoning_tokens <= chunk.usage.output_tokens <= 100_000_000


ALL_DIALECTS = [OpenAIDialect(), ResponsesDialect(), AnthropicDialect(), GeminiDialect(), OllamaDialect()]


@pytest.mark.parametrize("dialect", ALL_DIALECTS, ids=lambda dialect: dialect.name)
class TestEfforts:
    @pytest.mark.parametrize("effort", ["none", "low", "medium", "high"])
    def test_a_request_has_the_effort(self, dialect: Dialect, effort: Effort) -> None:
        body = dialect.body(wanted(effort=effort, max_tokens=30_000))
        assert dialect.asks_effort(effort, dialect.fields(body))

    def test_what_is_refused_is_not_asked(self, dialect: Dialect) -> None:
        everything = {
            "reasoning_effort", "effort", "reasoning", "adaptive", "budget", "thinkingConfig", "think",
        }  # fmt: skip
        fields = dialect.fields(dialect.body(wanted(*everything, effort="high")))
        assert not dialect.asks_effort("high", fields)


@pytest.mark.parametrize("dialect", [OpenAIDialect(), ResponsesDialect()])
def test_a_refused_value_leaves_the_others(dialect: Dialect) -> None:
    field = "reasoning_effort" if isinstance(dialect, OpenAIDialect) else "reasoning.effort"
    words = f"unsupported value: '{field}' does not support 'low' with this model."
    sent = dialect.fields(dialect.body(wanted(effort="low")))
    lesson = find_lesson(words, sent, has_system=False)
    refused = dialect.find_refused(words, sent) or (lesson.what if lesson else "")
    assert not dialect.asks_effort("low", dialect.body(wanted(refused, effort="low")))
    assert dialect.asks_effort("high", dialect.body(wanted(refused, effort="high")))


@pytest.mark.parametrize(
    ("dialect", "name", "value"),
    [
        (OpenAIDialect(), "reasoning_effort", "none"),
        (ResponsesDialect(), "reasoning", {"summary": "auto", "effort": "none"}),
        (AnthropicDialect(), "thinking", None),
        (GeminiDialect(), "generationConfig", {"thinkingConfig": {"thinkingBudget": 0}}),
        (OllamaDialect(), "think", False),
    ],
)
def test_no_effort_asks_for_no_thinking(dialect: Dialect, name: str, value: object) -> None:
    assert dialect.body(wanted(effort="none")).get(name) == value


def test_gemini_that_always_thinks_is_asked_no_more_not_to() -> None:
    dialect = GeminiDialect()
    body = dialect.body(wanted(effort="none"))
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
    assert dialect.find_refused(
        "budget 0 is invalid. this model only works in thinking mode.", dialect.fields(body)
    ) == ("thinkingOff")
    fields = dialect.fields(dialect.body(wanted("thinkingOff", effort="none")))
    assert not dialect.asks_effort("none", fields)

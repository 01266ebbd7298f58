"""What a program wants of the calls of its functions, as each API is told; and what is left out once it was refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import TURNS, wanted
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.base import CallChoice, Options, ProviderError, ToolSpec
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.learned import Learned
from workers.providers.http.negotiation import Negotiation
from workers.providers.model_facts import TOOLS
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

pytestmark = pytest.mark.unit

SCHEMA: Any = {
    "type": "object", "$defs": {"place": {"type": "string"}}, "properties": {"city": {"$ref": "#/$defs/place"}},
}  # fmt: skip
LONG = "The weather. " * 200
WEATHER = ToolSpec("get.weather", LONG, SCHEMA, exact=True, strict=True)
SENT = "get_weather_9d2fa9ea"
ANY, NAMED = CallChoice(required=True), CallChoice(required=True, name="get.weather")
ONE = CallChoice(one=True)


def body(dialect: Any, choice: CallChoice, *refused: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = dialect().body(wanted(*refused, tools=[WEATHER], choice=choice, **more))
    return made


def sent_name() -> str:
    name: str = body(OpenAIDialect, CallChoice())["tools"][0]["function"]["name"]
    return name


@pytest.mark.parametrize(
    ("dialect", "field", "any_", "named", "one"),
    [
        (OpenAIDialect, "tool_choice", "required", {"type": "function", "function": {"name": "*"}}, None),
        (ResponsesDialect, "tool_choice", "required", {"type": "function", "name": "*"}, None),
        (AnthropicDialect, "tool_choice", {"type": "any"}, {"type": "tool", "name": "*"},
         {"type": "auto", "disable_parallel_tool_use": True}),
        (GeminiDialect, "toolConfig", {"functionCallingConfig": {"mode": "ANY"}},
         {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["*"]}}, None),
        (OllamaDialect, "tool_choice", None, None, None),
    ],
)  # fmt: skip
def test_each_api_is_told(dialect: Any, field: str, any_: Any, named: Any, one: Any) -> None:
    def with_name(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: with_name(item) for key, item in value.items()}
        return [sent_name()] if value == ["*"] else sent_name() if value == "*" else value

    assert body(dialect, CallChoice()).get(field) is None
    assert body(dialect, ANY).get(field) == any_
    assert body(dialect, NAMED).get(field) == with_name(named)
    assert body(dialect, ONE).get(field) == one
    assert body(dialect, ANY, "forced_choice").get(field) is None
    assert body(dialect, ONE, "parallel_tool_calls").get(field) is None
    asked = body(dialect, ONE).get("parallel_tool_calls")
    assert asked is (False if dialect in (OpenAIDialect, ResponsesDialect) else None)


def test_functions_are_sent_as_they_are() -> None:
    chat = body(OpenAIDialect, CallChoice())["tools"][0]["function"]
    assert (chat["description"], chat["parameters"], chat["strict"]) == (LONG, SCHEMA, True)
    item = body(ResponsesDialect, CallChoice())["tools"][0]
    assert (item["description"], item["parameters"], item["strict"]) == (LONG, SCHEMA, True)
    inlined = body(AnthropicDialect, CallChoice())["tools"][0]["input_schema"]
    assert inlined["properties"] == {"city": {"type": "string"}}
    # After a refusal of the schema it is sent as the site's own tools are.
    plain = body(OpenAIDialect, CallChoice(), "tool_schemas")["tools"][0]["function"]
    assert (plain["parameters"]["properties"], "strict" in plain) == ({"city": {"type": "string"}}, False)


def test_anthropic_does_not_think_when_it_must_call() -> None:
    assert "thinking" not in body(AnthropicDialect, ANY, effort="high")
    assert "thinking" in body(AnthropicDialect, CallChoice(), effort="high")


@pytest.mark.parametrize(
    ("said", "choice", "lesson"),
    [
        ("deepseek-reasoner does not support this tool_choice", ANY, "forced_choice"),
        ("Invalid value for tool_choice: required", NAMED, "forced_choice"),
        ("Unrecognized request argument supplied: parallel_tool_calls", ONE, "parallel_tool_calls"),
    ],
)
def test_a_refusal_teaches(said: str, choice: CallChoice, lesson: str) -> None:
    learned = Learned()
    asking = Negotiation(OpenAIDialect(), learned, "m", TURNS, Options(tools=[WEATHER], choice=choice))
    first = OpenAIDialect().body(asking.next_request())
    asking.note_sent(first, stream=True)
    assert {"tool_choice", "parallel_tool_calls"} & set(first)
    assert asking.learn_from(ProviderError("upstream_refused", "Refused.", said=said))
    again = OpenAIDialect().body(asking.next_request())
    assert not {"tool_choice", "parallel_tool_calls"} & set(again)
    assert "tools" in again
    assert learned.refuses("m", lesson)


def test_functions_are_not_left_out_in_silence() -> None:
    learned = Learned()
    options = Options(tools=[WEATHER], choice=CallChoice(needed=True))
    asking = Negotiation(OpenAIDialect(), learned, "m", TURNS, options)
    asking.note_sent(OpenAIDialect().body(asking.next_request()), stream=True)
    for _ in range(2):
        with pytest.raises(ProviderError) as refused:
            asking.learn_from(ProviderError("upstream_refused", "Refused.", said="this model does not support tools"))
        assert refused.value.code == "upstream_no_tools"
        assert learned.refuses("m", TOOLS)
        asking = Negotiation(OpenAIDialect(), Learned(), "m", TURNS, options)
        asking.note_sent(OpenAIDialect().body(asking.next_request()), stream=True)
    with pytest.raises(ProviderError) as known:
        Negotiation(OpenAIDialect(), learned, "m", TURNS, options).next_request()
    assert known.value.code == "upstream_no_tools"

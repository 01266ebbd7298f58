"""Functions that a program offers the model: its calls come back, and the results go with the next request."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.stack import Stack

pytestmark = pytest.mark.integration

SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "weather", "description": "The weather of a city.", "parameters": SCHEMA}
TOOLS: Any = [{"type": "function", "function": WEATHER}]
FLAT: Any = [{"type": "function", **WEATHER}]
ASKED: Any = [{"role": "user", "content": "What is the weather in Ulm and Bonn?"}]
CALLS = [("weather", {"city": "Ulm"}, "call_a"), ("weather", {"city": "Bonn"}, "call_b")]
ANSWER = "It is warm in both."


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


def play(upstream: FakeOpenAI, text: str = "I look.", calls: Any = CALLS) -> None:
    upstream.play(Script(text=text, calls=calls))


class TestCompletions:
    def test_whole(self, client: openai.OpenAI, upstream: FakeOpenAI, stack: Stack) -> None:
        play(upstream)
        first = client.chat.completions.create(model="small", messages=ASKED, tools=TOOLS, tool_choice="required")
        [choice] = first.choices
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.")
        calls: Any = choice.message.tool_calls
        assert [(one.id, one.type, one.function.name, one.function.arguments) for one in calls] == [
            ("call_a", "function", "weather", '{"city": "Ulm"}'), ("call_b", "function", "weather", '{"city": "Bonn"}'),
        ]  # fmt: skip
        body = upstream.wait_chats(1)[-1].body
        assert (body["tools"], body["tool_choice"]) == (TOOLS, "required")
        assert first.usage is not None
        [billed] = stack.sql(
            "SELECT sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens FROM accounts_usageentry"
        )
        assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (
            billed["input_tokens"], billed["output_tokens"],
        )  # fmt: skip
        upstream.play(f'text="{ANSWER}"')
        messages: Any = [
            *ASKED, choice.message,
            {"role": "tool", "tool_call_id": "call_b", "content": "20 °C"},
            {"role": "tool", "tool_call_id": "call_a", "content": "15 °C"},
        ]  # fmt: skip
        second = client.chat.completions.create(model="small", messages=messages, tools=TOOLS)
        assert (second.choices[0].message.content, second.choices[0].finish_reason) == (ANSWER, "stop")
        assert second.choices[0].message.tool_calls is None
        question, said, *results = upstream.wait_chats(2)[-1].body["messages"]
        assert question == ASKED[0]
        assert (said["content"], [one["id"] for one in said["tool_calls"]]) == ("I look.", ["call_a", "call_b"])
        found = {one["tool_call_id"]: (one["role"], one["content"]) for one in results}
        assert found == {"call_a": ("tool", "15 °C"), "call_b": ("tool", "20 °C")}

    def test_streamed(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        play(upstream)
        chunks = list(
            client.chat.completions.create(
                model="small", messages=ASKED, tools=TOOLS, stream=True, stream_options={"include_usage": True}
            )
        )
        found: dict[int, dict[str, str]] = {}
        for chunk in chunks:
            for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                call = found.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += part.id or ""
                assert part.function is not None
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
        assert found == {
            0: {"id": "call_a", "name": "weather", "arguments": '{"city": "Ulm"}'},
            1: {"id": "call_b", "name": "weather", "arguments": '{"city": "Bonn"}'},
        }
        assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "tool_calls"
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "I look."
        assert chunks[-1].usage is not None

    def test_the_client_s_own_loop(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        """The accumulating stream of the official client reads what we send as it reads OpenAI's."""
        play(upstream, text="", calls=CALLS[:1])
        with client.chat.completions.stream(model="small", messages=ASKED, tools=TOOLS) as stream:
            made: Any = stream.get_final_completion().choices[0]
        assert (made.finish_reason, made.message.content or "") == ("tool_calls", "")
        assert json.loads(made.message.tool_calls[0].function.arguments) == {"city": "Ulm"}

    def test_one_call_at_once_and_none(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        play(upstream)
        made: Any = client.chat.completions.create(
            model="small", messages=ASKED, tools=TOOLS, parallel_tool_calls=False,
            tool_choice={"type": "function", "function": {"name": "weather"}},
        )  # fmt: skip
        assert [one.id for one in made.choices[0].message.tool_calls] == ["call_a"]
        body = upstream.wait_chats(1)[-1].body
        assert body["parallel_tool_calls"] is False
        assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
        upstream.play(f'text="{ANSWER}"')
        made = client.chat.completions.create(model="small", messages=ASKED, tools=TOOLS, tool_choice="none")
        assert (made.choices[0].finish_reason, made.choices[0].message.content) == ("stop", ANSWER)
        assert upstream.wait_chats(2)[-1].body["tool_choice"] == "none"


class TestResponses:
    def test_whole_and_the_one_before(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        play(upstream, text="", calls=CALLS)
        first: Any = client.responses.create(model="small", input=ASKED, tools=FLAT, instructions="Be brief.")
        assert first.status == "completed"
        assert [(one.type, one.call_id, one.name, one.arguments) for one in first.output] == [
            ("function_call", "call_a", "weather", '{"city": "Ulm"}'),
            ("function_call", "call_b", "weather", '{"city": "Bonn"}'),
        ]
        assert first.tools[0].name == "weather"
        upstream.play(f'text="{ANSWER}"', times=2)
        results: Any = [
            {"type": "function_call_output", "call_id": "call_a", "output": "15 °C"},
            {"type": "function_call_output", "call_id": "call_b", "output": "20 °C"},
        ]
        second = client.responses.create(model="small", input=results, tools=FLAT, previous_response_id=first.id)
        assert second.output_text == ANSWER
        linked = upstream.wait_chats(2)[-1].body
        client.responses.create(model="small", input=[*ASKED, *first.output, *results], tools=FLAT)
        assert upstream.wait_chats(3)[-1].body["messages"] == linked["messages"]
        assert [one["role"] for one in linked["messages"]] == ["user", "assistant", "tool", "tool"]
        assert [one["content"] for one in linked["messages"]][2:] == ["15 °C", "20 °C"]

    def test_streamed(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        play(upstream, calls=CALLS[:1])
        events: Any = list(client.responses.create(model="small", input=ASKED, tools=FLAT, stream=True))
        kinds = [one.type for one in events if one.type != "response.output_text.delta"]
        assert kinds == [
            "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
            "response.output_text.done", "response.content_part.done", "response.output_item.done",
            "response.output_item.added", "response.function_call_arguments.delta",
            "response.function_call_arguments.done", "response.output_item.done", "response.completed",
        ]  # fmt: skip
        assert [one.output_index for one in events if one.type == "response.output_item.done"] == [0, 1]
        assert events[-1].response.output[1].arguments == '{"city": "Ulm"}'


def test_the_site_s_own_tools_are_not_offered_and_nothing_is_made(
    client: openai.OpenAI, upstream: FakeOpenAI, stack: Stack
) -> None:
    """A function may even have the name of a tool of the site: it is the program's."""
    play(upstream, text="", calls=[("calculate", {"expression": "1+1"}, "call_a")])
    tools: Any = [{"type": "function", "function": {**WEATHER, "name": "calculate"}}]
    made: Any = client.chat.completions.create(model="small", messages=ASKED, tools=tools, store=True)
    assert made.choices[0].message.tool_calls[0].function.name == "calculate"
    assert [one["function"]["name"] for one in upstream.wait_chats(1)[-1].body["tools"]] == ["calculate"]
    [call] = stack.sql(
        "SELECT name, status, server, tries, output FROM chat_toolcall WHERE run_id = %s",
        uuid.UUID(made.id.removeprefix("chatcmpl-")),
    )
    assert (call["name"], call["status"], call["server"], call["tries"]) == ("calculate", "ok", "", 0)
    assert "Returned to the program" in call["output"]


def test_a_model_without_tools(client: openai.OpenAI, upstream: FakeOpenAI) -> None:
    upstream.play(Script(no_tools=True), times=3)
    for _ in range(2):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="large", messages=ASKED, tools=TOOLS)
        assert refused.value.code == "unsupported_parameter"


def test_the_same_key_returns_the_same_calls(stack: Stack, upstream: FakeOpenAI) -> None:
    play(upstream, calls=CALLS[:1])
    headers = {"Authorization": f"Bearer {add_token(stack)}", "Idempotency-Key": "once"}
    url = f"{stack.webs[0].url}/v1/chat/completions"
    body = {"model": "small", "messages": ASKED, "tools": TOOLS}
    first = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False).json()
    again = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False).json()
    assert again["id"] == first["id"]
    assert again["choices"] == first["choices"]
    assert len(upstream.chats) == 1
    other = httpx.post(url, json={**body, "tool_choice": "none"}, headers=headers, timeout=30, trust_env=False)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")

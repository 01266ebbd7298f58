"""Mistral's own client, whose code and types have nothing in common with OpenAI's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.stack import Stack

pytestmark = pytest.mark.integration
mistral: Any = pytest.importorskip("mistralai.client")

ASKED: Any = [{"role": "user", "content": "What is the weather in Ulm?"}]
PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "description": "Looks.", "parameters": PARAMETERS}}]
CALLS: Any = [("weather", {"city": "Ulm"}, "call_a")]


def client_of(stack: Stack, token: str) -> Any:
    return mistral.Mistral(api_key=token, server_url=stack.webs[0].url, timeout_ms=30_000)


@pytest.fixture
def client(stack: Stack, token: str, upstream: FakeOpenAI) -> Iterator[Any]:
    upstream.reset()
    with client_of(stack, token) as made:
        yield made


def test_whole_and_streamed(client: Any, upstream: FakeOpenAI) -> None:
    upstream.play('text="one two three"', times=2)
    made = client.chat.complete(model="small", messages=ASKED, max_tokens=50, temperature=0.5, random_seed=1)
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("one two three", "stop")
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 0
    with client.chat.stream(model="small", messages=ASKED) as events:
        chunks = [event.data for event in events]
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "one two three"
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"


def test_functions(client: Any, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text="", calls=CALLS), times=2)
    made = client.chat.complete(model="small", messages=ASKED, tools=TOOLS, tool_choice="required")
    said = made.choices[0].message
    [call] = said.tool_calls
    assert (made.choices[0].finish_reason, call.id, call.function.name) == ("tool_calls", "call_a", "weather")
    with client.chat.stream(model="small", messages=ASKED, tools=TOOLS) as events:
        chunks = [event.data for event in events]
    parts = [part for one in chunks if one.choices for part in one.choices[0].delta.tool_calls or []]
    assert json.loads("".join(part.function.arguments or "" for part in parts)) == {"city": "Ulm"}
    upstream.play('text="It is warm."')
    result = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "15 °C"}
    done = client.chat.complete(model="small", messages=[*ASKED, said, result], tools=TOOLS)
    assert done.choices[0].message.content == "It is warm."
    assert upstream.wait_chats(3)[-1].body["messages"][-1]["content"] == "15 °C"


def test_the_form_of_the_answer(client: Any, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text='{"city": "Ulm"}'))
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": PARAMETERS, "strict": True}}
    made = client.chat.complete(model="small", messages=ASKED, response_format=form)
    assert json.loads(made.choices[0].message.content) == {"city": "Ulm"}
    sent = upstream.wait_chats(1)[-1].body["response_format"]
    assert (sent["type"], sent["json_schema"]["schema"], sent["json_schema"]["strict"]) == (
        "json_schema", PARAMETERS, True,
    )  # fmt: skip


def test_errors(stack: Stack, client: Any, upstream: FakeOpenAI) -> None:
    """A token that is none, a model that is not there, and the token's own rate."""
    with client_of(stack, "ant_none") as stranger, pytest.raises(mistral.errors.SDKError) as refused:
        stranger.chat.complete(model="small", messages=ASKED)
    assert (refused.value.status_code, json.loads(refused.value.body)["error"]["code"]) == (401, "invalid_api_key")
    with pytest.raises(mistral.errors.SDKError) as refused:
        client.chat.complete(model="nothing", messages=ASKED)
    assert (refused.value.status_code, json.loads(refused.value.body)["error"]["code"]) == (404, "model_not_found")
    with client_of(stack, add_token(stack, rate="1/h")) as slow:
        assert slow.chat.complete(model="small", messages=ASKED).choices
        with pytest.raises(mistral.errors.SDKError) as refused:
            slow.chat.complete(model="small", messages=ASKED)
    assert (refused.value.status_code, refused.value.headers["retry-after"].isdigit()) == (429, True)
    assert len(upstream.chats) == 1

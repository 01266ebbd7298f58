"""Clients that share no code with OpenAI's: Hugging Face's, where it is installed (it comes with `tokenizers`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.integration
hub: Any = pytest.importorskip("huggingface_hub")

ASKED: Any = [{"role": "user", "content": "What is the weather in Ulm?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@pytest.fixture
def hugging_face(stack: Stack, token: str, upstream: FakeOpenAI) -> Any:
    upstream.reset()
    return hub.InferenceClient(base_url=f"{stack.webs[0].url}/v1", api_key=token, timeout=30)


def test_whole_and_streamed(hugging_face: Any, upstream: FakeOpenAI) -> None:
    upstream.play('text="one two three"', times=2)
    made = hugging_face.chat_completion(ASKED, model="small", max_tokens=50, temperature=0.5, seed=1)
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("one two three", "stop")
    chunks = list(hugging_face.chat_completion(ASKED, model="small", stream=True))
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "one two three"


def test_functions(hugging_face: Any, upstream: FakeOpenAI) -> None:
    calls: Any = [("weather", {"city": "Ulm"}, "call_a")]
    script = Script(text="", calls=calls)
    upstream.play(script, times=2)
    made = hugging_face.chat_completion(ASKED, model="small", tools=TOOLS, tool_choice="required")
    [call] = made.choices[0].message.tool_calls
    assert (made.choices[0].finish_reason, call.id, call.function.name) == ("tool_calls", "call_a", "weather")
    chunks = list(hugging_face.chat_completion(ASKED, model="small", tools=TOOLS, stream=True))
    parts = [part for one in chunks if one.choices for part in one.choices[0].delta.tool_calls or []]
    assert json.loads("".join(part.function.arguments or "" for part in parts)) == {"city": "Ulm"}
    upstream.play('text="It is warm."')
    messages = [
        *ASKED,
        {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": {
            "name": call.function.name, "arguments": call.function.arguments}}]},
        {"role": "tool", "tool_call_id": call.id, "content": "15 °C"},
    ]  # fmt: skip
    done = hugging_face.chat_completion(messages, model="small", tools=TOOLS)
    assert done.choices[0].message.content == "It is warm."
    assert upstream.wait_chats(3)[-1].body["messages"][-1]["content"] == "15 °C"

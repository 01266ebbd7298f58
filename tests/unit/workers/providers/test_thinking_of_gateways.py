"""Thinking in the forms of gateways and other servers, in every dialect: never shown as the answer, and never lost."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.unit.workers.providers.test_odd_answers import HELLO, STOP, WORLD, candidate, sse
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

SUMMARY: Final = [{"type": "summary_text", "text": "Hm"}]


def chat(*deltas: dict[str, Any]) -> bytes:
    return sse(*({"choices": [{"index": 0, "delta": one}]} for one in deltas), HELLO, WORLD, STOP, "[DONE]")


def part(**fields: object) -> dict[str, Any]:
    return {"content": [fields]}


CHAT: Final = {
    "a part of its own kind": chat(part(type="reasoning", text="Hm")),
    "its field": chat(part(type="reasoning", reasoning="Hm")),
    "a summary": chat(part(type="reasoning", summary=SUMMARY)),
    "Mistral": chat(part(type="thinking", thinking=[{"type": "text", "text": "Hm"}])),
    "thinking that is a text": chat(part(type="thinking", thinking="Hm")),
    "Gemma 4": chat({"content": "<|channel>thought\nHm<channel|>"}),
    "gpt-oss, another channel": chat(
        {"content": "<|channel|>commentary<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>"}
    ),
}


def anthropic(*events: dict[str, Any]) -> bytes:
    text = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello world"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    return sse(*events, text, end, {"type": "message_stop"})


def block(**delta: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


NAMED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}}),
    ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "Hello world"}}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}}),
    ("message_stop", {}),
)
MESSAGES: Final = {
    "its text under another name": anthropic(block(type="thinking_delta", text="Hm")),
    "reasoning": anthropic(block(type="reasoning_delta", reasoning="Hm")),
    "types only in the names of events": b"".join(
        b"event: " + name.encode() + b"\ndata: " + json.dumps(data).encode() + b"\n\n" for name, data in NAMED
    ),
}


def responses(*events: dict[str, Any]) -> bytes:
    text = {"type": "response.output_text.delta", "delta": "Hello world"}
    return sse(*events, text, {"type": "response.completed", "response": {"status": "completed", "output": []}})


THOUGHT_DONE: Final = {"type": "response.reasoning_summary_text.done", "text": "Hm"}
ITEM: Final = {"type": "reasoning", "summary": SUMMARY}
ITEM_DONE: Final = {"type": "response.output_item.done", "output_index": 0, "item": ITEM}
PIECE: Final = {"type": "response.reasoning_summary_text.delta", "delta": "Hm"}
MESSAGE: Final = {"type": "message", "content": [{"type": "output_text", "text": "Hello world"}]}
RESPONSES: Final = {
    "another name": responses({"type": "response.reasoning_content.delta", "delta": "Hm"}),
    "a summary": responses({"type": "response.reasoning_summary.delta", "delta": "Hm"}),
    "pieces that are objects": responses({"type": "response.reasoning.delta", "delta": {"content": "Hm"}}),
    "nothing but the whole text": responses(THOUGHT_DONE),
    "nothing but the item": responses(ITEM_DONE),
    "pieces, text, and item": responses(PIECE, THOUGHT_DONE, ITEM_DONE),
    "nothing but the last event": sse(
        {"type": "response.completed", "response": {"status": "completed", "output": [ITEM, MESSAGE]}}
    ),
    "a body of texts": json.dumps(
        {
            "object": "response", "status": "completed",
            "output": [{"type": "reasoning", "summary": "Hm"}, {"type": "message", "content": "Hello world"}],
        }
    ).encode(),
}  # fmt: skip
GEMINI: Final = {
    "a thought that is a text": sse(candidate({"parts": [{"thought": "Hm"}, {"text": "Hello world"}]})),
    "names as protobuf has them": sse(
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": "Hm", "thought": True}, {"text": "Hello world"}]},
                    "finish_reason": "STOP",
                }
            ],
            "usage_metadata": {"prompt_token_count": 5, "candidates_token_count": 2, "thoughts_token_count": 1},
        }
    ),
}
OLLAMA: Final = {
    "the form of its other API": b"".join(
        json.dumps(one).encode() + b"\n"
        for one in ({"thinking": "Hm", "response": ""}, {"response": "Hello world"}, {"response": "", "done": True})
    ),
}
ANSWERS: Final = [
    pytest.param(dialect, body, id=f"{dialect.kind}: {name}")
    for dialect, bodies in (
        (OpenAIDialect(), CHAT), (AnthropicDialect(), MESSAGES), (ResponsesDialect(), RESPONSES),
        (GeminiDialect(), GEMINI), (OllamaDialect(), OLLAMA),
    )
    for name, body in bodies.items()
]  # fmt: skip


def parts_of(dialect: Dialect, *pieces: bytes) -> tuple[str, str]:
    """(reasoning, text) of a complete answer."""
    reader = dialect.reader((), lambda _kind, _found: None)
    chunks = [one for piece in pieces if not reader.done for one in reader.feed(piece)]
    chunks += reader.end()
    assert reader.failure is None
    assert reader.finish_reason is not None
    return "".join(one.reasoning for one in chunks), "".join(one.text for one in chunks)


@pytest.mark.parametrize(("dialect", "body"), ANSWERS)
def test_thinking_is_told_apart_however_it_is_split(dialect: Dialect, body: bytes) -> None:
    assert parts_of(dialect, body) == ("Hm", "Hello world")
    for place in range(1, len(body)):
        assert parts_of(dialect, body[:place], body[place:]) == ("Hm", "Hello world")


def test_the_word_that_begins_the_answer_of_gpt_oss_is_not_shown() -> None:
    assert parts_of(OpenAIDialect(), chat({"content": "<|channel|>final<|message|>"})) == ("", "Hello world")


def test_counts_and_arguments_in_names_of_protobuf() -> None:
    reader = GeminiDialect().reader((), lambda _kind, _found: None)
    reader.feed(GEMINI["names as protobuf has them"])
    assert reader.usage is not None
    assert (reader.usage.input_tokens, reader.usage.output_tokens, reader.usage.reasoning_tokens) == (5, 3, 1)

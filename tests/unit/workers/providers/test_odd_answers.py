"""Answers that servers of every API send beside its reference: read as they are meant, however they are split."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import read
from workers.generation.outcome import finish_of
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect
from workers.providers.http.reader import AnswerReader
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

HUGE = "9" * 5000


def sse(*events: object, end: str = "\n\n") -> bytes:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}{end}" for line in lines).encode()


def chunk(content: str | None = None, finish: object = None, **delta: object) -> dict[str, Any]:
    fields = delta if content is None else {"content": content, **delta}
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def choice(**fields: object) -> dict[str, Any]:
    return {"choices": [fields]}


HELLO, WORLD, STOP, DONE = chunk("Hello "), chunk("world"), chunk(finish="stop"), "[DONE]"
COUNTS = {"prompt_tokens": 5, "completion_tokens": 2}
CHAT: dict[str, bytes] = {
    "a word in brackets as keep-alive": sse("[PING]", HELLO, "[HEARTBEAT]", WORLD, STOP, DONE),
    "an end in lower case": sse(HELLO, WORLD, STOP, "[done]"),
    "an end in quotes": sse(HELLO, WORLD, STOP, '"[DONE]"'),
    "one line break between events": sse(HELLO, WORLD, STOP, DONE, end="\n"),
    "lines of JSON": b"\n".join(json.dumps(one).encode() for one in (HELLO, WORLD, STOP)),
    "an array": json.dumps([HELLO, WORLD, STOP]).encode(),
    "a choice that is no list": sse({"choices": {"delta": {"content": "Hello world"}}}, STOP, DONE),
    "texts without delta": sse(choice(text="Hello "), choice(text="world", finish_reason="stop"), DONE),
    "a body with a text": json.dumps(choice(text="Hello world", finish_reason="stop")).encode(),
    "a body within another": json.dumps({"result": choice(message={"content": "Hello world"})}).encode(),
    "the whole again at the end": sse(
        HELLO, WORLD, choice(delta=None, message={"content": "Hello world"}, finish_reason="stop"), DONE
    ),
    "another choice first": sse(
        {"choices": [{"index": 1, "delta": {"content": "No"}}, {"index": 0, "delta": {"content": "Hello world"}}]},
        STOP, DONE,
    ),
    "a finish reason that is the word null": sse(chunk("Hello ", "null"), chunk("world", "null"), STOP, DONE),
    "a number with 5,000 digits": sse(HELLO, WORLD, STOP, f'{{"choices": [], "created": {HUGE}}}', DONE),
}  # fmt: skip
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello world"}}
ENDED = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
MESSAGES: dict[str, bytes] = {
    "[DONE] in place of the last event": sse(DELTA, ENDED, DONE),
    "a word in brackets as keep-alive": sse("[PING]", DELTA, ENDED, {"type": "message_stop"}),
    "content that is a text": json.dumps(
        {"type": "message", "content": "Hello world", "stop_reason": "end_turn"}
    ).encode(),
}


def candidate(content: object, reason: object = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": content, "finishReason": reason}]}


PART = {"text": "Hello world"}
GEMINI: dict[str, bytes] = {
    "[DONE] at the end": sse(candidate({"parts": [PART]}), DONE),
    "one part that is no list": sse(candidate({"parts": PART})),
    "content that is a list": sse(candidate([PART])),
    "a response within another": sse({"response": candidate({"parts": [PART]})}),
    "a reason as a number": sse(candidate({"parts": [PART]}, 1)),
    "thoughts marked by a word": sse(candidate({"parts": [{"text": "Hm", "thought": "true"}, PART]})),
}


def line(text: str, **more: object) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text, **more}, "done": False}


LAST = {"message": {"content": ""}, "done": True, "done_reason": "stop"}
OLLAMA: dict[str, bytes] = {
    "server-sent events": sse(line("Hello "), line("world"), LAST, end="\n"),
    "one object on many lines": json.dumps({**line("Hello world"), "done": True}, indent=2).encode(),
    "an array": json.dumps([line("Hello "), line("world"), LAST]).encode(),
    "the form of its other API": b'{"response": "Hello world", "done": false}\n{"response": "", "done": true}\n',
}


def text_delta(text: object) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def completed(*output: object, kind: str = "response.completed") -> dict[str, Any]:
    return {"type": kind, "response": {"status": "completed", "output": output}}


MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello world"}]}
ITEM_DONE = {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE}
TEXT_DONE = {"type": "response.output_text.done", "text": "Hello world"}
RESPONSES: dict[str, bytes] = {
    "nothing but the last event": sse(completed(MESSAGE)),
    "nothing but a whole text": sse(TEXT_DONE, completed()),
    "a whole item": sse(TEXT_DONE, ITEM_DONE, completed()),
    "pieces and the whole": sse(text_delta("Hello "), text_delta("world"), TEXT_DONE, ITEM_DONE, completed(MESSAGE)),
    "pieces that are objects": sse(text_delta({"text": "Hello world"}), completed()),
    "another name of the end": sse(text_delta("Hello world"), completed(kind="response.done")),
    "a body without its kind": json.dumps({"status": "completed", "output": [MESSAGE]}).encode(),
    "a body with the text alone": json.dumps({"object": "response", "output_text": "Hello world"}).encode(),
}
ANSWERS = [
    (dialect, name, body)
    for dialect, bodies in (
        (OpenAIDialect(), CHAT), (AnthropicDialect(), MESSAGES), (GeminiDialect(), GEMINI),
        (OllamaDialect(), OLLAMA), (ResponsesDialect(), RESPONSES),
    )
    for name, body in bodies.items()
]  # fmt: skip


def text_of(reader: AnswerReader, *pieces: bytes) -> str:
    chunks = [one for piece in pieces if not reader.done for one in reader.feed(piece)]
    chunks += [] if reader.done or reader.failure else reader.end()
    assert reader.failure is None
    assert finish_of(reader.finish_reason) == "stop"
    return "".join(one.text for one in chunks)


def ignore(_kind: str, _found: object) -> None:
    pass


@pytest.mark.parametrize(("dialect", "name", "body"), ANSWERS, ids=lambda value: getattr(value, "kind", None))
def test_it_is_read_as_it_is_meant_however_it_is_split(dialect: Dialect, name: str, body: bytes) -> None:
    assert text_of(dialect.reader((), ignore), body) == "Hello world", name
    for place in range(1, len(body), 1 if len(body) < 2000 else 97):
        assert text_of(dialect.reader((), ignore), body[:place], body[place:]) == "Hello world", (name, body[:place])


@pytest.mark.parametrize(
    "event",
    [
        choice(delta={}, finish_reason="stop", usage=COUNTS),
        {**STOP, "x_groq": {"usage": COUNTS}},
        {**STOP, "usage": {"input_tokens": 5, "output_tokens": 2}},
        {**STOP, "usage": [COUNTS]},
        {**STOP, "timings": {"prompt_n": 2, "cache_n": 3, "predicted_n": 2}},
    ],
)
def test_usage_in_other_places(event: object) -> None:
    reader, _, _ = read(OpenAIDialect(), HELLO, WORLD, event, b"[DONE]")
    assert reader.usage is not None
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (5, 2)


@pytest.mark.parametrize("number", ["1e400", HUGE, f"-{HUGE}"])
def test_a_count_without_bounds_is_implausible(number: str) -> None:
    event = f'{{"choices": [], "usage": {{"prompt_tokens": {number}, "completion_tokens": 2}}}}'
    reader, _, _ = read(OpenAIDialect(), HELLO, STOP, event.encode(), b"[DONE]")
    assert reader.failure is None
    assert reader.usage is not None
    assert reader.usage.implausible


def test_a_negative_part_of_a_count_makes_it_implausible() -> None:
    usage = {"input_tokens": 5, "cache_creation_input_tokens": -3}
    reader, _, _ = read(AnthropicDialect(), {"type": "message_start", "message": {"usage": usage}}, DELTA, ENDED)
    assert reader.usage is not None
    assert reader.usage.implausible


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_text": "Hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "x"}]},
        {"content": "<thought>Hm</thought>"},
        {"content": "<Think>Hm</Think>"},
        {"content": "<seed:think>Hm</seed:think>"},
        {"content": "<reasoning>Hm</reasoning>"},
        {"content": "◁think▷Hm◁/think▷"},
        {"content": "<|START_THINKING|>Hm<|END_THINKING|>"},
        {"content": "<|begin_of_thought|>Hm<|end_of_thought|>"},
        {"content": "<|inner_prefix|>Hm<|inner_suffix|>"},
        {"content": "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>"},
    ],
)
def test_reasoning_under_other_names_and_tags(delta: dict[str, object]) -> None:
    text = delta.pop("content", "")
    pieces = [chunk(one) for one in str(text)] or [chunk(None, **delta)]
    _, chunks, _ = read(OpenAIDialect(), *pieces, HELLO, WORLD, STOP, b"[DONE]")
    assert "".join(one.reasoning for one in chunks) == "Hm"
    assert "".join(one.text for one in chunks) == "Hello world"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_ollamas_reasoning_under_other_names(name: str) -> None:
    _, chunks, _ = read(OllamaDialect(), line("", **{name: "Hm"}), line("Hello"), LAST)
    assert "".join(one.reasoning for one in chunks) == "Hm"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_length", "length"), (["length"], "length"), ("ERROR_LIMIT", "length"), ("eos", "stop"),
        ("FINISH_REASON_MAX_TOKENS", "length"), ("max_new_tokens", "length"), ("FINISH_REASON_SAFETY", "filtered"),
        ("FINISH_REASON_STOP", "stop"), ("context_length", "length"), ("policy_violation", "filtered"),
        ("ERROR_TOXIC", "filtered"), ("guardrail_intervened", "filtered"), ("x" * 5000, "stop"),
    ],
)  # fmt: skip
def test_finish_reasons_of_other_servers(reason: object, finish: str) -> None:
    reader, _, _ = read(OpenAIDialect(), chunk("Hello", reason), b"[DONE]")
    assert finish_of(reader.finish_reason) == finish
    assert len(reader.finish_reason or "") <= 100


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "abort", "ERROR", "engine_overloaded"])
def test_an_answer_that_its_server_gave_up_is_not_complete(reason: str) -> None:
    reader, _, _ = read(OpenAIDialect(), HELLO, chunk(finish=reason), b"[DONE]")
    assert reader.failure is not None
    assert reader.failure.code == "upstream_error"


@pytest.mark.parametrize("error", [{"code": "0", "message": "success"}, {"code": 200, "message": "OK"}, False, {}])
def test_an_error_that_says_there_was_none(error: object) -> None:
    reader, chunks, _ = read(OpenAIDialect(), {**HELLO, "error": error}, {**WORLD, "error": error}, STOP, b"[DONE]")
    assert reader.failure is None
    assert "".join(one.text for one in chunks) == "Hello world"


def test_an_incomplete_response_without_a_reason_is_cut() -> None:
    end = {"type": "response.incomplete", "response": {"incomplete_details": None}}
    reader, _, _ = read(ResponsesDialect(), text_delta("Hello"), end)
    assert reader.failure is not None
    assert reader.failure.code == "upstream_cut"

"""Decodes one event of a chat completion. Only the text, the tool calls and the end are decoded strictly.

The fast path decodes into typed structs that skip every unused field; the vendor package's stream builds models field
by field, which costs several times as much for each chunk. An event that does not fit is decoded again, field by field:
a field of another type is left out and reported, and never costs the answer. Format: OpenAI API reference, "The chat
completion chunk object"; `reasoning_content` is DeepSeek's and vLLM's, `reasoning` and `reasoning_details` are
OpenRouter's, `reasoning` also Ollama's and vLLM's, `thinking` is Ollama's own API's, content in parts Mistral's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.providers.http.json_values import (
    Report,
    garbage,
    load_event,
    read_cost,
    read_number,
    read_object,
    read_text,
    read_thought,
)


class Part(msgspec.Struct, gc=False):
    """A part of content. What the model thinks is a part of its own kind (Mistral, gateways), in one of its fields."""

    type: str = "text"
    text: str | None = None
    thinking: list[Part] | None = None
    reasoning: Any = None
    summary: Any = None
    image_url: Any = None

    def split(self) -> tuple[str, str]:
        """(text, thinking)."""
        thought = "".join(part.text or "" for part in self.thinking or ())
        thought = thought or read_thought(self.reasoning) or read_thought(self.summary) or ""
        if self.type in ("thinking", "reasoning", "thought"):
            return "", thought or self.text or ""
        return self.text or "", thought


class Delta(msgspec.Struct, gc=False):
    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_text: str | None = None
    thinking_blocks: list[Any] | None = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None
    images: Any = None  # that the model made (OpenRouter, LiteLLM)

    @property
    def thought(self) -> str:
        """What the model thinks. Some servers send it under two names at once: then one of them counts."""
        said = self.reasoning_content or self.reasoning or self.thinking or self.reasoning_text
        if said or not (self.reasoning_details or self.thinking_blocks):
            return said or ""
        return read_thought(self.reasoning_details) or read_thought(self.thinking_blocks) or ""


class Choice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    message: Delta | None = None  # in a body that was not streamed
    finish_reason: str | None = None
    error: Any = None
    index: Any = None
    text: Any = None  # in place of a delta, as of a completion without chat
    logprobs: Any = None
    usage: Any = None  # Moonshot


class InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None  # the names of other APIs, which some gateways leave
    output_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cost: float | None = None  # OpenRouter and LiteLLM: in USD


class Event(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    object: str | None = None
    model: str | None = None  # who answers; a router chooses
    message: Any = None  # of an error without an outer "error"
    code: Any = None
    x_groq: Any = None  # has the usage, at Groq
    timings: Any = None  # llama.cpp: the counts, where no usage was asked for

    @property
    def known(self) -> bool:
        """Whether it is an event of a chat completion, or an error."""
        return self.choices is not None or self.usage is not None or bool(self.error) or self.object == "error"


_decode: Final = msgspec.json.Decoder(Event).decode


def decode_event(data: bytes, report: Report) -> Event | None:
    """The event in `data`; None for a keep-alive or something unknown, which is reported.

    Raises `ProviderError` for JSON that is broken and for text or tool calls of another type: part of the answer would
    be missing.
    """
    event: Event | None = None
    strict = True
    try:
        event = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        strict = False
    if not strict:  # outside of the handler: an error raised here would hold the decoder's, and with it the text
        event = _decode_leniently(data, report)
    if event is None or event.known:
        return event
    value = load_event(data, report)
    inner = (
        next(
            (one for name in ("result", "response", "data") if "choices" in (one := read_object(value.get(name)))), None
        )
        if value
        else None
    )
    if inner is not None:
        return _event(inner)
    report("event", value)
    return None


def _decode_leniently(data: bytes, report: Report) -> Event | None:
    value = load_event(data, report)
    if value is None:
        return None
    report("field", value)
    return _event(value)


def _event(value: dict[str, Any]) -> Event:
    choices = value.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    found = [_choice(one) for one in choices if isinstance(one, dict)] if isinstance(choices, list) else None
    return Event(
        choices=found,
        usage=read_usage(value.get("usage")),
        error=value.get("error"),
        object=read_text(value.get("object")),
        model=read_text(value.get("model")),
        message=value.get("message"),
        code=value.get("code"),
        x_groq=value.get("x_groq"),
        timings=value.get("timings"),
    )


def _choice(value: dict[str, Any]) -> Choice:
    return Choice(
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=_finish_reason(value.get("finish_reason")),
        error=value.get("error"),
        index=value.get("index"),
        text=value.get("text"),
        logprobs=value.get("logprobs"),
        usage=value.get("usage"),
    )


def _delta(value: object) -> Delta | None:
    if not value:
        return None
    if isinstance(value, str):
        return Delta(content=value)
    if not isinstance(value, dict):
        raise garbage(f"a delta that is a {type(value).__name__}")
    calls, function = value.get("tool_calls"), value.get("function_call")
    calls = [calls] if isinstance(calls, dict) else calls
    if not isinstance(calls or [], list) or not isinstance(function or {}, dict):
        raise garbage("tool calls of another type")
    return Delta(
        content=_content(value.get("content")),
        reasoning_content=read_thought(value.get("reasoning_content")),
        reasoning=read_thought(value.get("reasoning")),
        thinking=read_thought(value.get("thinking")),
        reasoning_text=read_thought(value.get("reasoning_text")),
        thinking_blocks=blocks if isinstance(blocks := value.get("thinking_blocks"), list) else None,
        reasoning_details=details if isinstance(details := value.get("reasoning_details"), list) else None,
        refusal=read_text(value.get("refusal")),
        tool_calls=calls or None,
        function_call=function or None,
        images=value.get("images"),
    )


def _content(value: object) -> str | list[Part] | None:
    if (not value and value != 0) or value is False:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        return [part for part in map(_part, value) if part is not None]
    raise garbage(f"text that is a {type(value).__name__}")


def _part(value: object) -> Part | None:
    if isinstance(value, str):
        return Part(text=value)
    if not isinstance(value, dict):
        return None
    thinking = value.get("thinking")
    if isinstance(thinking, str):
        thinking = [thinking]
    parts = [part for part in map(_part, thinking) if part is not None] if isinstance(thinking, list) else None
    return Part(
        type=read_text(value.get("type")) or "text",
        text=read_text(value.get("text")),
        thinking=parts,
        reasoning=value.get("reasoning"),
        summary=value.get("summary"),
        image_url=value.get("image_url"),
    )


def _finish_reason(value: object) -> str | None:
    """A finish reason of another type still says that this is the end."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        return read_text(value.get("type")) or read_text(value.get("reason")) or "stop"
    return value if isinstance(value, str) else "stop" if value else None


def read_usage(value: object) -> Usage | None:
    """A usage, perhaps in an array; None if it is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    read, written = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    cost = read_cost(value.get("cost"))
    return Usage(
        prompt_tokens=read_number(value.get("prompt_tokens")),
        completion_tokens=read_number(value.get("completion_tokens")),
        input_tokens=read_number(value.get("input_tokens")),
        output_tokens=read_number(value.get("output_tokens")),
        prompt_cache_hit_tokens=read_number(value.get("prompt_cache_hit_tokens")),
        prompt_tokens_details=InputDetails(read_number(read.get("cached_tokens"))) if isinstance(read, dict) else None,
        completion_tokens_details=(
            OutputDetails(read_number(written.get("reasoning_tokens"))) if isinstance(written, dict) else None
        ),
        cost=None if cost is None else float(cost),
    )

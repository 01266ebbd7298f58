"""Chat Completions: reads the request, and writes the answer as one object or as chunks. Pure.

Source: OpenAI API reference, "Create chat completion" and "The chat completion chunk object".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chat.api.asked import (
    Asked,
    Image,
    Turn,
    check_neutral,
    check_turns,
    read_content,
    read_flag,
    read_model,
    read_options,
    read_role,
    read_stop,
    read_top_p,
)
from chat.api.errors import invalid, unsupported
from chat.api.forms import read_form, read_logprobs
from chat.api.functions import Exchanged, read_choice, read_functions, read_one_call
from chat.api.outcome import Begun, Outcome, ReturnedCall

DONE: Final = b"data: [DONE]\n\n"


def read_request(body: Mapping[str, Any], most_bytes: int) -> Asked:
    """Raises `ApiError`."""
    check_neutral(body)
    form = read_form(body.get("response_format"), "response_format", nested=True)
    given = body.get("messages")
    if not isinstance(given, list):
        raise invalid("'messages' must be a list.", "messages", "missing_required_parameter")
    turns: list[Turn] = []
    exchanged = Exchanged(turns)
    images: dict[int, list[Image]] = {}
    for number, message in enumerate(given):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise invalid(f"'{where}' must be an object.", where, "invalid_type")
        content = message.get("content")
        if message.get("role") == "tool":
            text = "" if content is None else read_content(content, f"{where}.content")
            exchanged.result(message.get("tool_call_id"), text, f"{where}.tool_call_id")
            continue
        role = read_role(message.get("role"), f"{where}.role")
        if message.get("function_call"):
            raise unsupported(f"{where}.function_call", "'function_call' is OpenAI's old name. Send 'tool_calls'.")
        found = images[len(turns)] = []
        own = found if role == "user" else None
        turns.append((role, "" if content is None else read_content(content, f"{where}.content", own)))
        if role == "assistant":
            _read_calls(message.get("tool_calls"), exchanged, f"{where}.tool_calls")
    functions = read_functions(body, nested=True)
    choice = read_choice(body, [name for name, _ in functions], nested=True)
    exchanged.offer(functions)
    exchanged.shape(form)
    length = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    stream_options = body.get("stream_options") or {}
    if not isinstance(stream_options, dict):
        raise invalid("'stream_options' must be an object.", "stream_options", "invalid_type")
    sent = check_turns(turns, "messages", most_bytes, images, exchanged.notes)
    return Asked(
        read_model(body),
        sent.turns,
        read_options(
            body.get("temperature"), body.get(length), body.get("reasoning_effort"), length_name=length,
            effort_name="reasoning_effort",
        ),
        images=sent.images,
        notes=sent.notes,
        choice=choice if functions else "",
        one_call=read_one_call(body) and bool(functions),
        stream=read_flag(body, "stream"),
        include_usage=read_flag(stream_options, "include_usage", where="stream_options."),
        store=read_flag(body, "store"),
        stop=read_stop(body.get("stop")),
        top_p=read_top_p(body.get("top_p")),
        logprobs=read_logprobs(body),
    )  # fmt: skip


def _read_calls(given: Any, exchanged: Exchanged, where: str) -> None:
    """The calls of a message of the assistant. Raises `ApiError`."""
    if given is None:
        return
    if not isinstance(given, list):
        raise invalid(f"'{where}' must be a list.", where, "invalid_type")
    for number, call in enumerate(given):
        place = f"{where}[{number}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise unsupported(place, f"'{place}' is no call of a function.")
        exchanged.call(call.get("id"), function.get("name"), function.get("arguments"), place)


def answer(begun: Begun, outcome: Outcome) -> dict[str, Any]:
    """The whole answer as one object."""
    content = outcome.text or None if outcome.calls else outcome.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if outcome.calls:
        message["tool_calls"] = [_call(call) for call in outcome.calls]
    if outcome.reasoning:
        message["reasoning_content"] = outcome.reasoning
    choice = {"index": 0, "message": message, "logprobs": _logprobs(outcome), "finish_reason": outcome.finish}
    return {**_head(begun, "chat.completion"), "choices": [choice], "usage": usage(outcome)}


class Chunks:
    """The answer as chunks, each an object; `end` gives the last ones."""

    def __init__(self, begun: Begun, asked: Asked) -> None:
        self._head = _head(begun, "chat.completion.chunk")
        if asked.include_usage:
            self._head["usage"] = None
        self._include_usage = asked.include_usage

    def begin(self) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})

    def text(self, text: str) -> Iterator[dict[str, Any]]:
        yield self._chunk({"content": text})

    def reasoning(self, text: str) -> Iterator[dict[str, Any]]:
        yield self._chunk({"reasoning_content": text})

    def end(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        for index, call in enumerate(outcome.calls):
            # Whole, in one chunk: some clients cannot read a piece of a call that has no name.
            yield self._chunk({"tool_calls": [{"index": index, **_call(call)}]})
        if outcome.logprobs is not None:  # all at once: rules read an answer before its tokens are shown
            [choice] = (chunk := self._chunk({}))["choices"]
            yield {**chunk, "choices": [{**choice, "logprobs": _logprobs(outcome)}]}
        yield self._chunk({}, outcome.finish)
        if self._include_usage:
            yield {**self._head, "choices": [], "usage": usage(outcome)}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _call(call: ReturnedCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(outcome: Outcome) -> dict[str, Any] | None:
    return None if outcome.logprobs is None else {"content": outcome.logprobs, "refusal": None}


def usage(outcome: Outcome) -> dict[str, Any]:
    """Tokens as they are billed."""
    return {
        "prompt_tokens": outcome.input_tokens,
        "completion_tokens": outcome.output_tokens,
        "total_tokens": outcome.input_tokens + outcome.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
    }


def _head(begun: Begun, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{begun.run_id.hex}", "object": kind, "created": begun.created, "model": begun.model}

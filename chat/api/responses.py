"""Responses: reads the request, and writes the answer as one object or as events. Pure.

Source: OpenAI API reference, "Create a model response" and "Streaming events".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
    read_top_p,
)
from chat.api.errors import invalid, unsupported
from chat.api.forms import read_form, read_logprobs, shown_format
from chat.api.functions import Exchanged, read_choice, read_functions, read_one_call
from chat.api.outcome import Begun, Outcome, ReturnedCall

_SKIPPED = frozenset({"reasoning"})  # items of earlier responses that clients send along


def read_request(body: Mapping[str, Any], most_bytes: int) -> Asked:
    """Raises `ApiError`."""
    check_neutral(body)
    said = body.get("text") or {}
    if not isinstance(said, dict):
        raise invalid("'text' must be an object.", "text", "invalid_type")
    form = read_form(said.get("format") or None, "text.format", nested=False)
    if read_logprobs({"logprobs": True, "top_logprobs": body.get("top_logprobs")}) or _asks_logprobs(body):
        raise unsupported(
            "top_logprobs" if body.get("top_logprobs") else "include",
            "Probabilities of tokens are given with /v1/chat/completions alone.",
        )
    reasoning = body.get("reasoning") or {}
    if not isinstance(reasoning, dict):
        raise invalid("'reasoning' must be an object.", "reasoning", "invalid_type")
    instructions = body.get("instructions")
    head: list[Turn] = []
    if instructions:
        head = [("system", read_content(instructions, "instructions"))]
    turns, images, notes = _read_input(body.get("input"))
    exchanged = Exchanged(turns, notes)
    functions = read_functions(body, nested=False)
    names = [name for name, _ in functions]
    choice, one_call = read_choice(body, names, nested=False), read_one_call(body)
    exchanged.offer(functions)
    exchanged.shape(form)
    previous = body.get("previous_response_id") or ""
    if not isinstance(previous, str):
        raise invalid("'previous_response_id' must be a text.", "previous_response_id", "invalid_type")
    images = {number + len(head): found for number, found in images.items()}
    notes = {number + len(head): note for number, note in notes.items()}
    sent = check_turns([*head, *turns], "input", most_bytes, images, notes, follows=bool(previous))
    return Asked(
        read_model(body),
        sent.turns,
        read_options(
            body.get("temperature"), body.get("max_output_tokens"), reasoning.get("effort"),
            length_name="max_output_tokens", effort_name="reasoning.effort",
        ),
        head=1 if head and sent.turns[0] == head[0] else 0,
        images=sent.images,
        notes=sent.notes,
        choice=choice if functions else "",
        one_call=one_call and bool(functions),
        stream=read_flag(body, "stream"),
        store=read_flag(body, "store"),
        previous=previous,
        form_name="text.format",
        top_p=read_top_p(body.get("top_p")),
        echoed={
            "instructions": instructions if isinstance(instructions, str) else None,
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body["metadata"] if isinstance(body.get("metadata"), dict) else {},
            "parallel_tool_calls": bool(functions) and not one_call,
            "previous_response_id": previous or None,
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "store": read_flag(body, "store"),
            "temperature": body.get("temperature"),
            "text": {"format": shown_format(form)},
            "tool_choice": (body.get("tool_choice") or "auto") if functions else "none",
            "tools": [_offered(name, text) for name, text in functions],
            "top_p": body.get("top_p") or 1,
        },
    )  # fmt: skip


def _asks_logprobs(body: Mapping[str, Any]) -> bool:
    wanted = body.get("include")
    return isinstance(wanted, list) and "message.output_text.logprobs" in wanted


def _offered(name: str, text: str) -> dict[str, Any]:
    """A function as a response repeats it."""
    return {"type": "function", "name": name, "strict": False, **json.loads(text)}


def _read_input(given: Any) -> tuple[list[Turn], dict[int, list[Image]], dict[int, tuple[str, str]]]:
    """The turns, and by their numbers the images of each and what belongs to calls and results."""
    if isinstance(given, str):
        return [("user", read_content(given, "input"))], {}, {}
    if not isinstance(given, list):
        raise invalid("'input' must be a text or a list of messages.", "input", "missing_required_parameter")
    turns: list[Turn] = []
    exchanged = Exchanged(turns)
    images: dict[int, list[Image]] = {}
    for number, item in enumerate(given):
        where = f"input[{number}]"
        if not isinstance(item, dict):
            raise invalid(f"'{where}' must be an object.", where, "invalid_type")
        kind = str(item.get("type", "message"))
        if kind in _SKIPPED:
            continue
        if kind == "function_call":
            exchanged.call(item.get("call_id"), item.get("name"), item.get("arguments"), where)
            continue
        if kind == "function_call_output":
            output = item.get("output")
            text = "" if output is None else read_content(output, f"{where}.output")
            exchanged.result(item.get("call_id"), text, f"{where}.call_id")
            continue
        if kind != "message":
            raise unsupported(
                f"{where}.type",
                f"'{where}' is no message, and no call or result of a function. Nothing else is supported.",
            )
        role = read_role(item.get("role"), f"{where}.role")
        found: list[Image] = []
        own = found if role == "user" else None
        turns.append((role, read_content(item.get("content"), f"{where}.content", own)))
        images[len(turns) - 1] = found
    return turns, images, exchanged.notes


def answer(begun: Begun, asked: Asked, outcome: Outcome) -> dict[str, Any]:
    """The whole response as one object."""
    status, details = _status(outcome)
    output: list[dict[str, Any]] = []
    if outcome.text or not outcome.calls:
        output.append(_item(begun, outcome.text, "completed" if status == "completed" else "incomplete"))
    output += [_call_item(begun, number, call) for number, call in enumerate(outcome.calls)]
    return {**_response(begun, asked, status), "incomplete_details": details, "output": output, "usage": usage(outcome)}


class Events:
    """The response as events, each an object with its `type` and `sequence_number`."""

    def __init__(self, begun: Begun, asked: Asked) -> None:
        self._begun = begun
        self._asked = asked
        self._number = 0
        self._opened = False
        self._text: list[str] = []

    def begin(self) -> Iterator[dict[str, Any]]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=_response(self._begun, self._asked, "in_progress"))

    def text(self, text: str) -> Iterator[dict[str, Any]]:
        yield from self._open()
        self._text.append(text)
        yield self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def reasoning(self, text: str) -> Iterator[dict[str, Any]]:
        """What the model thinks is no part of a response here; its tokens are in the usage."""
        yield from ()

    def end(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        if self._opened or not outcome.calls:
            yield from self._end_text(outcome)
        for number, call in enumerate(outcome.calls):
            yield from self._call(item=_call_item(self._begun, number, call), index=number + self._opened)
        status, _ = _status(outcome)
        yield self._event(f"response.{status}", response=answer(self._begun, self._asked, outcome))

    def _call(self, item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
        """A call, which is known as a whole: with one piece of its arguments."""
        place = {"item_id": item["id"], "output_index": index}
        arguments = item["arguments"]
        opened = {**item, "arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=index, item=opened)
        yield self._event("response.function_call_arguments.delta", **place, delta=arguments)
        yield self._event("response.function_call_arguments.done", **place, name=item["name"], arguments=arguments)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _end_text(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        yield from self._open()
        text = "".join(self._text)
        status, _ = _status(outcome)
        item = _item(self._begun, text, "completed" if status == "completed" else "incomplete")
        yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._place(), part=item["content"][0])
        yield self._event("response.output_item.done", output_index=0, item=item)

    def fail(self, error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The last event of a response that has failed after it began."""
        failed = {"code": "server_error", "message": error["message"]}
        yield self._event(
            "response.failed", response={**_response(self._begun, self._asked, "failed"), "error": failed}
        )

    def _open(self) -> Iterator[dict[str, Any]]:
        if self._opened:
            return
        self._opened = True
        item = {**_item(self._begun, "", "in_progress"), "content": []}
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._event("response.content_part.added", **self._place(), part=_part(""))

    def _place(self) -> dict[str, Any]:
        return {"item_id": _item_id(self._begun), "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **fields}


def usage(outcome: Outcome) -> dict[str, Any]:
    """Tokens as they are billed."""
    return {
        "input_tokens": outcome.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": outcome.output_tokens,
        "output_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
        "total_tokens": outcome.input_tokens + outcome.output_tokens,
    }


def _status(outcome: Outcome) -> tuple[str, dict[str, str] | None]:
    if outcome.finish == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if outcome.finish == "content_filter":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def _response(begun: Begun, asked: Asked, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{begun.run_id.hex}",
        "object": "response",
        "created_at": begun.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": begun.model,
        "output": [],
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "usage": None,
        **asked.echoed,
    }


def _item_id(begun: Begun) -> str:
    return f"msg_{begun.run_id.hex}"


def _item(begun: Begun, text: str, status: str) -> dict[str, Any]:
    return {"id": _item_id(begun), "type": "message", "role": "assistant", "status": status, "content": [_part(text)]}


def _call_item(begun: Begun, number: int, call: ReturnedCall) -> dict[str, Any]:
    return {
        "id": f"fc_{begun.run_id.hex}_{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

"""Tools, calls and results in Chat Completions requests, and what comes with calls in its answers.

Sources: OpenAI API reference, "Create chat completion" (`tools`); OpenRouter's and DeepSeek's guides to tool calls of
models that reason (`reasoning_details`, `reasoning_content`); Gemini's to its OpenAI-compatible API (`extra_content`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ChatTurn, ToolSpec
from workers.providers.http.dialect import Wanted
from workers.providers.http.json_values import read_objects
from workers.providers.http.tool_schemas import MAX_DESCRIPTION, gemini_schema, object_schema
from workers.providers.http.tool_turns import (
    NO_OUTPUT,
    arguments_text,
    plain_id,
    replayed,
    result_text,
    sendable_images,
    user_content,
    wire_name,
    wire_tools,
)

MAX_TOOLS: Final = 128  # of one request
MISTRAL_ID: Final = 9  # characters of a call's id at Mistral, which refuses others
REASONING: Final = ("reasoning_content", "reasoning")  # fields that go back as they came
_GROWING: Final = ("text", "summary", "data")


def function_tools(wanted: Wanted) -> list[dict[str, Any]]:
    """The tools, as Chat Completions and Ollama have them."""
    plain = wanted.refused("tool_schemas")
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": tool.description if tool.exact else tool.description[:MAX_DESCRIPTION],
                "parameters": tool.parameters if tool.exact and not plain else _with_properties(tool, plain=plain),
                **({"strict": True} if tool.strict and not plain else {}),
            },
        }
        for name, tool in list(wire_tools(wanted.tools).items())[:MAX_TOOLS]
    ]


def choice_fields(wanted: Wanted) -> dict[str, Any]:
    """The fields that say which tools are to be called, and how many at once."""
    found: dict[str, Any] = {}
    if wanted.call_no_more:
        found["tool_choice"] = "none"
    elif (name := wanted.forced) is not None:
        found["tool_choice"] = {"type": "function", "function": {"name": name}} if name else "required"
    return found | ({"parallel_tool_calls": False} if wanted.one_call else {})


def _with_properties(tool: ToolSpec, *, plain: bool) -> dict[str, Any]:
    """A plain schema has no properties where there are none, which some servers refuse."""
    if plain:
        return {"properties": {}, **gemini_schema(tool.parameters, plain=True, keep=not tool.exact)}
    return object_schema(tool.parameters)


def messages(wanted: Wanted) -> list[dict[str, Any]]:
    """The turns as messages. Results may hold only text: their images follow the last result of a request, as the
    user's.
    """
    found: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for turn in wanted.turns:
        if turn.role != "tool" and images:
            found.append({"role": "user", "content": images})
            images = []
        found.append(_message(turn, wanted))
        if turn.role == "tool" and turn.images and not wanted.refused("images"):
            images += _image_parts(turn)
    return [*found, {"role": "user", "content": images}] if images else found


def _image_parts(turn: ChatTurn) -> list[dict[str, Any]]:
    images = [_image_part(*image) for image in sendable_images(turn)]
    what = "The image" if len(images) == 1 else f"The {len(images)} images"
    name = wire_name(turn.name)
    return (
        [{"type": "text", "text": f"[{what} that {name} returned, not the user's words:]"}, *images] if images else []
    )


def _image_part(kind: str, data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


def _message(turn: ChatTurn, wanted: Wanted) -> dict[str, Any]:
    """One turn as a message."""
    if turn.role == "tool":
        text = result_text(turn, carries=bool(turn.images) and not wanted.refused("images")) or NO_OUTPUT
        return {"role": "tool", "tool_call_id": _call_id(turn.call_id, wanted), "content": text}
    if turn.images:
        text, images = user_content(turn, refused=wanted.refused("images"))
        parts = [*(_image_part(*image) for image in images), {"type": "text", "text": text}]
        return {"role": turn.role, "content": parts if images else text}
    if not turn.calls:
        return {"role": turn.role, "content": turn.content}
    extras: dict[str, Any] = {}
    found: dict[str, Any] = {"role": turn.role, "content": turn.content or None}
    for part in replayed(turn):
        if "call" in part:
            extras[str(part["call"])] = part.get("extra_content")
        else:
            found |= {name: value for name, value in part.items() if name in (*REASONING, "reasoning_details")}
    found["tool_calls"] = [
        {
            "id": _call_id(call.id, wanted),
            "type": "function",
            "function": {"name": wire_name(call.name), "arguments": arguments_text(call.arguments)},
            **({"extra_content": extras[call.id]} if call.id in extras else {}),
        }
        for call in turn.calls
    ]
    return found


def _call_id(call_id: str, wanted: Wanted) -> str:
    return plain_id(call_id, length=MISTRAL_ID) if wanted.refused("call_ids") else call_id


class ReplayedReasoning:
    """What a model that reasons wants back with the results of its calls: its reasoning, under the names it had."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []

    def add(self, fields: Mapping[str, str | None], details: list[Any] | None) -> None:
        for name, text in fields.items():
            if text:
                self._texts.setdefault(name, []).append(text)
        for detail in read_objects(details):
            self._add_detail(detail)

    def _add_detail(self, detail: dict[str, Any]) -> None:
        """Pieces of one detail have its index, or nothing but its type."""
        last = self._details[-1] if self._details else {}
        same = last and all(last.get(key) == detail.get(key) for key in ("type", "index"))
        if not same or (detail.get("id") and last.get("id") and detail["id"] != last["id"]):
            self._details.append(dict(detail))
            return
        for key, value in detail.items():
            if key in _GROWING and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value

    def parts(self, extras: Mapping[str, Any]) -> list[Any]:
        """The parts of a `Replay`: fields of the message, and `extra_content` of calls."""
        found: list[Any] = []
        if self._details:
            found.append({"reasoning_details": self._details})
        else:
            texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
            found += [{name: texts[name]} for name in REASONING if name in texts][:1]
        return found + [{"call": call_id, "extra_content": extra} for call_id, extra in extras.items()]

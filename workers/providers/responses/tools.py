"""Tools, calls and results in requests to the Responses API.

Sources: OpenAI API reference, "Create a model response"; OpenAI's guides "Function calling" and "Reasoning models"
(`reasoning.encrypted_content`): with `store` false, reasoning goes back encrypted with the calls that it led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ChatTurn, ToolSpec
from workers.providers.http.dialect import Wanted
from workers.providers.http.json_values import read_text
from workers.providers.http.tool_schemas import MAX_DESCRIPTION, gemini_schema, object_schema
from workers.providers.http.tool_turns import (
    arguments_text,
    plain_id,
    replayed,
    result_text,
    sendable_images,
    user_content,
    wire_name,
    wire_tools,
)

MAX_TOOLS: Final = 128
ENCRYPTED: Final = "reasoning.encrypted_content"  # in `include`
_KEPT: Final = ("type", "id", "summary", "encrypted_content")


def function_tools(wanted: Wanted) -> list[dict[str, Any]]:
    plain = wanted.refused("tool_schemas")
    return [
        {
            "type": "function",
            "name": name,
            "description": tool.description if tool.exact else tool.description[:MAX_DESCRIPTION],
            "parameters": _parameters(tool, plain=plain),
            "strict": tool.strict and not plain,
        }
        for name, tool in list(wire_tools(wanted.tools).items())[:MAX_TOOLS]
    ]


def _parameters(tool: ToolSpec, *, plain: bool) -> Mapping[str, Any]:
    if plain:
        return gemini_schema(tool.parameters, plain=True, keep=not tool.exact)
    return tool.parameters if tool.exact else object_schema(tool.parameters)


def choice_fields(wanted: Wanted) -> dict[str, Any]:
    """The fields that say which tools are to be called, and how many at once."""
    found: dict[str, Any] = {}
    if wanted.call_no_more:
        found["tool_choice"] = "none"
    elif (name := wanted.forced) is not None:
        found["tool_choice"] = {"type": "function", "name": name} if name else "required"
    return found | ({"parallel_tool_calls": False} if wanted.one_call else {})


def input_items(turn: ChatTurn, wanted: Wanted) -> list[dict[str, Any]]:
    """One turn as items of the input, none if it says nothing. Reasoning comes before the calls that it led to."""
    if turn.role == "tool":
        return [{"type": "function_call_output", "call_id": plain_id(turn.call_id), "output": _output(turn, wanted)}]
    if turn.images:
        text, images = user_content(turn, refused=wanted.refused("images"))
        shown = [*(_image_part(*image) for image in images), {"type": "input_text", "text": text}]
        return [{"type": "message", "role": turn.role, "content": shown if images else text}]
    said: list[dict[str, Any]] = []
    if turn.content:
        # llama.cpp's server needs the type of an assistant's message, which OpenAI's API assumes.
        said = [{"type": "message", "role": turn.role, "content": turn.content}]
    if not turn.calls:
        return said
    calls = {
        call.id: {
            "type": "function_call",
            "call_id": plain_id(call.id),
            "name": wire_name(call.name),
            "arguments": arguments_text(call.arguments),
        }
        for call in turn.calls
    }
    found: list[dict[str, Any]] = []
    parts = replayed(turn)
    placed = any(part.get("type") == "message" for part in parts)
    for part in parts:
        if part.get("type") == "reasoning":
            found.append({key: part[key] for key in _KEPT if key in part})
            continue
        if part.get("type") == "message" or not placed:
            found += said
            said = []
        if part.get("call") in calls:
            found.append(calls.pop(part["call"]))
    return [*found, *said, *calls.values()]


def _output(turn: ChatTurn, wanted: Wanted) -> str | list[dict[str, Any]]:
    carries = bool(turn.images) and not wanted.refused("images")
    text = result_text(turn, carries=carries)
    images = sendable_images(turn) if carries else []
    if not images:
        return text or result_text(turn)
    parts = [_image_part(*image) for image in images]
    return [{"type": "input_text", "text": text}, *parts] if text else parts


def _image_part(kind: str, data: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"data:{kind};base64,{data}"}


class ReplayedItems:
    """The items of an answer in their order: reasoning as it came, the text and the calls by name."""

    def __init__(self) -> None:
        self._items: dict[int, dict[str, Any]] = {}

    def add(self, place: int, item: Mapping[str, Any]) -> None:
        """An item that is complete. Reasoning that is not encrypted means nothing to the API."""
        kind = item.get("type")
        if kind == "reasoning" and isinstance(item.get("encrypted_content"), str):
            self._items[place] = {key: item[key] for key in _KEPT if key in item}
        elif kind == "message":
            self._items[place] = {"type": "message"}
        elif kind == "function_call":
            self._items[place] = {"call": read_text(item.get("call_id")) or read_text(item.get("id")) or ""}

    def parts(self) -> list[Any]:
        """The parts of a `Replay`; none if nothing was reasoned."""
        items = [self._items[place] for place in sorted(self._items)]
        return items if any(item.get("type") == "reasoning" for item in items) else []

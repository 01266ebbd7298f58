"""Calls and results in requests to Ollama's chat API. Tools are as in Chat Completions.

Source: Ollama's docs/api.md, "Generate a chat completion", and its guide "Tool calling".
"""

from __future__ import annotations

from typing import Any

from workers.providers.base import ChatTurn
from workers.providers.http.calls import is_made
from workers.providers.http.dialect import Wanted
from workers.providers.http.tool_turns import (
    arguments_object,
    replayed,
    result_text,
    sendable_images,
    user_content,
    wire_name,
)


def message(turn: ChatTurn, wanted: Wanted) -> dict[str, Any]:
    """One turn as a message."""
    if turn.role == "tool":
        return _result(turn, wanted)
    text, images = user_content(turn, refused=wanted.refused("images"))
    found: dict[str, Any] = {"role": turn.role, "content": text}
    if images:
        found["images"] = [data for _, data in images]
    for part in replayed(turn):
        if isinstance(part.get("thinking"), str):
            found["thinking"] = part["thinking"]
    if turn.calls:
        found["tool_calls"] = [
            {
                **({} if is_made(call.id) else {"id": call.id}),
                "function": {"name": wire_name(call.name), "arguments": arguments_object(call.arguments)},
            }
            for call in turn.calls
        ]
    return found


def _result(turn: ChatTurn, wanted: Wanted) -> dict[str, Any]:
    carries = bool(turn.images) and not wanted.refused("images")
    found: dict[str, Any] = {
        "role": "tool", "tool_name": wire_name(turn.name), "content": result_text(turn, carries=carries),
    }  # fmt: skip
    if not is_made(turn.call_id):
        found["tool_call_id"] = turn.call_id
    if carries and (images := sendable_images(turn)):
        found["images"] = [data for _, data in images]
    return found

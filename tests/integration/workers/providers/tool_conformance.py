"""What the tests of tools at every kind of model server share."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.endpoint import Endpoint
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import ChatWire
from tests.fakes.dialects.openai_responses import ResponsesWire
from tests.fakes.dialects.script import Call
from tests.fakes.dialects.wire import Wire
from tests.fakes.listening import Heard
from workers.providers.base import ChatTurn, Options, Replay, RequestedCall, ToolImage, ToolSpec

CLOCK = ToolSpec(
    "current_time",
    "Tells the time.",
    {
        "$ref": "#/$defs/Clock",
        "$defs": {
            "Clock": {
                "title": "Clock", "type": "object", "required": ["zone"],
                "properties": {
                    "zone": {"type": "string"}, "when": {"anyOf": [{"$ref": "#/$defs/When"}, {"type": "null"}]},
                },
            },
            "When": {"type": "string", "enum": ["now", "then"]},
        },
    },
)  # fmt: skip
OTHER = ToolSpec("files/search v2", "Searches.", {})
WIRES: tuple[Wire, ...] = (ChatWire(), ResponsesWire(), AnthropicWire(), GeminiWire(), OllamaWire())
OFFERED = Options(tools=(CLOCK, OTHER))
BERLIN = Call()
TOKYO = Call(arguments='{"zone": "Asia/Tokyo"}', id="call_2")
BOTH = [("current_time", {"zone": "Europe/Berlin"}), ("current_time", {"zone": "Asia/Tokyo"})]
PNG = ToolImage("image/png", b"\x89PNG")


def calls_of(heard: Heard) -> tuple[RequestedCall, ...]:
    """The calls, which come once, with the finish reason of every answer with calls."""
    [chunk] = [chunk for chunk in heard.chunks if chunk.calls]
    assert [one.finish_reason for one in heard.chunks if one.finish_reason][-1] == "tool_calls"
    assert heard.usage.input_tokens
    return chunk.calls


def replay_of(heard: Heard) -> Replay | None:
    return next((chunk.replay for chunk in heard.chunks if chunk.replay), None)


def said(calls: tuple[RequestedCall, ...]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in calls]


def results(calls: tuple[RequestedCall, ...], text: str = "12:00", **more: Any) -> list[ChatTurn]:
    return [ChatTurn("tool", text, call_id=call.id, name=call.name, **more) for call in calls]


def asked(endpoint: Endpoint, place: int = -1) -> Any:
    """What a request says, without what is the same in every request."""
    body = endpoint.server.chats[place].body
    field = {"gemini": "contents", "openai_responses": "input"}.get(endpoint.wire.kind, "messages")
    return [one for one in body[field] if one.get("role") != "system"]

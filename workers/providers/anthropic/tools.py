"""Tools, calls, results and thinking in requests to the Messages API.

Sources: Anthropic API reference, "Create a Message"; guides "Tool use" and "Extended thinking": the thinking that led
to calls goes back unchanged, with its signature, in front of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ChatTurn
from workers.providers.http.dialect import Wanted
from workers.providers.http.json_values import read_text
from workers.providers.http.tool_schemas import gemini_schema, object_schema
from workers.providers.http.tool_turns import (
    arguments_object,
    plain_id,
    replayed,
    result_text,
    sendable_images,
    user_content,
    wire_name,
    wire_tools,
)

THINKING: Final = frozenset({"thinking", "redacted_thinking"})


def tool_fields(wanted: Wanted) -> dict[str, Any]:
    """The fields of the request about tools."""
    if not wanted.tools:
        return {}
    plain = wanted.refused("tool_schemas")
    tools = [
        {
            "name": name,
            "description": tool.description,
            "input_schema": gemini_schema(tool.parameters, plain=True, keep=not tool.exact)
            if plain
            else object_schema(tool.parameters, keep=not tool.exact),
        }
        for name, tool in wire_tools(wanted.tools).items()
    ]
    return {"tools": tools, **_choice(wanted)}


def _choice(wanted: Wanted) -> dict[str, Any]:
    """Which tools are to be called, and how many at once."""
    if wanted.call_no_more:
        return {"tool_choice": {"type": "none"}}
    found: dict[str, Any] = {}
    if (name := wanted.forced) is not None:
        found = {"type": "tool", "name": name} if name else {"type": "any"}
    if wanted.one_call:
        found = {"type": "auto", **found, "disable_parallel_tool_use": True}
    return {"tool_choice": found} if found else {}


def messages(wanted: Wanted) -> list[dict[str, Any]]:
    """The messages of the request: of the user and of the assistant in alternation."""
    exchanges = wanted.exchanges()
    return [
        {"role": role, "content": _content(turns, wanted, last=place == len(exchanges) - 1)}
        for place, (role, turns) in enumerate(exchanges)
    ]


def _content(turns: list[ChatTurn], wanted: Wanted, *, last: bool) -> str | list[dict[str, Any]]:
    if not any(turn.calls or turn.images or turn.role == "tool" for turn in turns):
        text = "\n\n".join(turn.content for turn in turns)
        return text.rstrip() if last else text  # an answer that is to be continued may not end with white space
    results = [_result(turn, wanted) for turn in turns if turn.role == "tool"]
    said = [block for turn in turns if turn.role != "tool" for block in _shown(turn, wanted) or _said(turn)]
    return [*results, *said]  # results have to come first


def _shown(turn: ChatTurn, wanted: Wanted) -> list[dict[str, Any]]:
    """What a user wrote with images, which come first; none without images."""
    if not turn.images:
        return []
    text, images = user_content(turn, refused=wanted.refused("images"))
    return [*(_image(*image) for image in images), *([{"type": "text", "text": text}] if text.strip() else [])]


def _image(kind: str, data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _said(turn: ChatTurn) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": turn.content}] if turn.content.strip() else []
    calls = {
        call.id: {
            "type": "tool_use",
            "id": plain_id(call.id),
            "name": wire_name(call.name),
            "input": arguments_object(call.arguments),
        }
        for call in turn.calls
    }
    found: list[dict[str, Any]] = []
    for part in replayed(turn):
        if part.get("type") in THINKING:
            found.append(dict(part))
        elif part.get("type") == "text":
            found += text
            text = []
        elif part.get("call") in calls:
            found.append(calls.pop(part["call"]))
    return [*found, *text, *calls.values()]


def _result(turn: ChatTurn, wanted: Wanted) -> dict[str, Any]:
    carries = bool(turn.images) and not wanted.refused("images")
    text = result_text(turn, carries=carries, marks=True)
    images = sendable_images(turn) if carries else []
    content: str | list[dict[str, Any]] = text
    if images:
        blocks = [_image(*image) for image in images]
        content = [{"type": "text", "text": text}, *blocks] if text else blocks
    found: dict[str, Any] = {"type": "tool_result", "tool_use_id": plain_id(turn.call_id), "content": content}
    return {**found, "is_error": True} if turn.failed else found


def may_think(wanted: Wanted) -> bool:
    """Whether thinking may be asked for: not in the middle of calls whose own thinking is not sent back."""
    for turn in reversed(wanted.turns):
        if turn.role == "user":
            return True
        if turn.calls:
            return any(part.get("type") in THINKING for part in replayed(turn))
    return True


class ReplayedBlocks:
    """The blocks of an answer in their order: thinking as it came, the text and the calls by name."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}

    def start(self, index: int, block: Mapping[str, Any]) -> None:
        kind = block.get("type")
        if kind == "thinking":
            thinking, signature = read_text(block.get("thinking")), read_text(block.get("signature"))
            self._blocks[index] = {"type": kind, "thinking": thinking or "", "signature": signature or ""}
        elif kind == "redacted_thinking" and isinstance(block.get("data"), str):
            self._blocks[index] = {"type": kind, "data": block["data"]}
        elif kind == "text":
            self._blocks[index] = {"type": kind}
        elif kind == "tool_use":
            self._blocks[index] = {"call": read_text(block.get("id")) or ""}

    def grow(self, index: int, *, thinking: str = "", signature: str = "") -> None:
        block = self._blocks.get(index, {})
        if block.get("type") == "thinking":
            block["thinking"] += thinking
            block["signature"] += signature

    def parts(self) -> list[Any]:
        """The parts of a `Replay`; none if the model did not think. Thinking without a signature is refused."""
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        kept = [block for block in blocks if block.get("type") != "thinking" or block["signature"]]
        return kept if any(block.get("type") in THINKING for block in kept) else []

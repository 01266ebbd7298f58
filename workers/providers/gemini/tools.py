"""Tools, calls and results in requests to the Gemini API.

Sources: Gemini API reference, "Tool", "FunctionCall" and "FunctionResponse"; guides "Function calling" and "Thought
signatures": a signature goes back in the part that it came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import ChatTurn
from workers.providers.http.calls import is_made
from workers.providers.http.dialect import Wanted
from workers.providers.http.tool_schemas import gemini_schema
from workers.providers.http.tool_turns import (
    arguments_object,
    replayed,
    result_text,
    sendable_images,
    user_content,
    wire_name,
    wire_tools,
)

NO_SIGNATURE: Final = "skip_thought_signature_validator"  # for calls that another model made, as the guide says


def tool_fields(wanted: Wanted) -> dict[str, Any]:
    """The fields of the request about tools."""
    if not wanted.tools:
        return {}
    plain = wanted.refused("tool_schemas")
    declared = []
    for name, tool in wire_tools(wanted.tools).items():
        schema = gemini_schema(tool.parameters, plain=plain, keep=not tool.exact)
        # An object without properties is refused.
        parameters = {"parameters": schema} if schema.get("properties") else {}
        declared.append({"name": name, "description": tool.description, **parameters})
    found: dict[str, Any] = {"tools": [{"functionDeclarations": declared}]}
    if wanted.call_no_more:
        found["toolConfig"] = {"functionCallingConfig": {"mode": "NONE"}}
    elif (forced := wanted.forced) is not None:
        only = {"allowedFunctionNames": [forced]} if forced else {}
        found["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", **only}}
    return found


def contents(wanted: Wanted) -> list[dict[str, Any]]:
    """The contents of the request: of the user and of the model in alternation."""
    return [
        {"role": "model" if role == "assistant" else "user", "parts": _parts(turns, wanted)}
        for role, turns in wanted.exchanges()
    ]


def _parts(turns: list[ChatTurn], wanted: Wanted) -> list[dict[str, Any]]:
    if not any(turn.calls or turn.images or turn.role == "tool" for turn in turns):
        return [{"text": "\n\n".join(turn.content for turn in turns)}]
    found: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            found.append(_response(turn, wanted))
            if turn.images and not wanted.refused("images"):
                images += [_image(*image) for image in sendable_images(turn)]
        elif turn.images:
            text, shown = user_content(turn, refused=wanted.refused("images"))
            found += [*images, *(_image(*image) for image in shown), {"text": text}]
            images = []
        else:
            found += images + _said(turn, wanted)
            images = []
    return found + images  # after the responses, whose number has to be that of the calls


def _image(kind: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _said(turn: ChatTurn, wanted: Wanted) -> list[dict[str, Any]]:
    signatures = {part.get("call", ""): part.get("thoughtSignature") for part in replayed(turn)}
    found: list[dict[str, Any]] = []
    if turn.content.strip():
        found.append({"text": turn.content, **_signed(signatures.get(""))})
    for place, call in enumerate(turn.calls):
        signature = signatures.get(call.id)
        if signature is None and place == 0 and wanted.refused("thoughtSignature"):
            signature = NO_SIGNATURE
        called = {**_id(call.id, wanted), "name": wire_name(call.name), "args": arguments_object(call.arguments)}
        found.append({"functionCall": called, **_signed(signature)})
    return found


def _signed(signature: Any) -> dict[str, Any]:
    return {"thoughtSignature": signature} if signature else {}


def _id(call_id: str, wanted: Wanted) -> dict[str, Any]:
    """The id of a call, where the API gave it one."""
    return {} if is_made(call_id) or wanted.refused("call_ids") else {"id": call_id}


def _response(turn: ChatTurn, wanted: Wanted) -> dict[str, Any]:
    carries = bool(turn.images) and not wanted.refused("images")
    text = result_text(turn, carries=carries, marks=True)
    response = {"error" if turn.failed else "result": text}
    return {"functionResponse": {**_id(turn.call_id, wanted), "name": wire_name(turn.name), "response": response}}


def replay_parts(text_signature: str, signatures: Mapping[str, Any]) -> list[Any]:
    """The parts of a `Replay`: the signature of the text, and those of calls by their ids."""
    found: list[Any] = [{"thoughtSignature": text_signature}] if text_signature else []
    return found + [{"call": call_id, "thoughtSignature": one} for call_id, one in signatures.items()]

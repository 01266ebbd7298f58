"""Calls of tools that a scripted model makes: how a script or a message asks for them, and how they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

_ASKED: Final = re.compile(r"\[\[\s*call=")
_CALL: Final = re.compile(r"\s*call=([\w.-]+)\s*")
_END: Final = re.compile(r"\s*\]\]")


class Call(NamedTuple):
    """`arguments` is the text as it is sent. An empty `id` gets one that is unique for each request."""

    name: str
    arguments: str = "{}"
    id: str = ""


def read_calls(calls: Iterable[Sequence[Any]]) -> tuple[Call, ...]:
    """Calls as a script has them: a name, arguments (an object, or any text as it is), and perhaps an id."""
    found = []
    for name, arguments, *rest in calls:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        found.append(Call(name, text, *rest))
    return tuple(found)


def find_calls(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The calls that a message asks for: `[[call=current_time {"zone": "UTC"} call=search {}]]`."""
    start = _ASKED.search(text)
    found: list[tuple[str, Mapping[str, Any]]] = []
    place = start.start() + 2 if start else len(text)
    while (call := _CALL.match(text, place)) is not None:
        place = call.end()
        arguments: Mapping[str, Any] = {}
        if text[place : place + 1] == "{":
            arguments, place = json.JSONDecoder().raw_decode(text, place)
        found.append((call[1], arguments))
    return found if _END.match(text, place) else []


def name_calls(calls: Sequence[Any], request: int) -> tuple[Call, ...]:
    """`calls` with ids that are unique among the requests of a server."""
    return tuple(
        call if call.id else call._replace(id=f"call_{request}_{place}") for place, call in enumerate(read_calls(calls))
    )


def write_calls(calls: Sequence[Any], piece: int) -> list[dict[str, Any]]:
    """The entries of `tool_calls`, each for an event of its own: an entry for the id and the name, and then one for
    each `piece` characters of the arguments. 0: one entry for each call.
    """
    entries: list[dict[str, Any]] = []
    for index, call in enumerate(read_calls(calls)):
        head = {"index": index, "id": call.id or f"call_{index}", "type": "function"}
        whole = piece <= 0
        entries.append({**head, "function": {"name": call.name, "arguments": call.arguments if whole else ""}})
        pieces = [] if whole else [call.arguments[at : at + piece] for at in range(0, len(call.arguments), piece)]
        entries += [{"index": index, "function": {"arguments": one}} for one in pieces]
    return entries


def refuse_tools(model: str) -> bytes:
    """The body of a refusal, in Ollama's words."""
    said = f"registry.ollama.ai/library/{model} does not support tools"
    return json.dumps({"error": {"message": said, "type": "api_error", "param": None, "code": None}}).encode()

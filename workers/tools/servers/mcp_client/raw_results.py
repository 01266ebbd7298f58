"""Results of a server before the package `mcp` checks them: bounded, and without entries that are none.

The package checks a result on the loop, and takes seconds of CPU for one of some hundred thousand parts, during which
the worker does nothing else. And it refuses a whole list for one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp.client.client import Client
from mcp_types import methods
from pydantic import ValidationError

from workers.tools.servers.listing import shorten

LISTS: Final[Mapping[str, str]] = {
    "tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}  # fmt: skip
PARTS: Final[Mapping[str, str]] = {"tools/call": "content", "resources/read": "contents", "prompts/get": "messages"}
MAX_PARTS: Final = 500  # of a result
MAX_ENTRIES: Final = 500  # of a page of a list


def bound_results(client: Client, skipped: Callable[[str], None]) -> None:
    """Bounds the results that an open client gets. `skipped` is called with a sentence for staff for whatever is left
    out of a list.
    """
    dispatcher: Any = client.session._dispatcher  # noqa: SLF001 -- nothing public comes between the answer and its check
    send = dispatcher.send_raw_request

    async def bounded(method: str, params: Any, opts: Any) -> Any:
        raw = await send(method, params, opts)
        if method in LISTS:
            return _readable(method, client.protocol_version, raw, skipped)
        return _cut(raw, PARTS[method], method) if method in PARTS else raw

    dispatcher.send_raw_request = bounded


def _cut(raw: Any, key: str, method: str) -> Any:
    parts = raw.get(key) if isinstance(raw, dict) else None
    if not isinstance(parts, list) or len(parts) <= MAX_PARTS:
        return raw
    kept = parts[:MAX_PARTS]
    if method == "tools/call":
        left_out = len(parts) - MAX_PARTS + 1
        kept[-1] = {"type": "text", "text": f"[{left_out} more parts were left out.]"}
    return {**raw, key: kept}


def _readable(method: str, version: str, raw: Any, skipped: Callable[[str], None]) -> Any:
    key = LISTS[method]
    if not isinstance(raw, dict) or not isinstance(raw.get(key), list):
        return raw
    if len(raw[key]) > MAX_ENTRIES:
        skipped(f"A page of its {key} has {len(raw[key])} entries: those after {MAX_ENTRIES} were skipped.")
        raw = {**raw, key: raw[key][:MAX_ENTRIES]}
    if _is_valid(method, version, raw):
        return raw
    kept = []
    for entry in raw[key]:
        if _is_valid(method, version, {**raw, key: [entry]}):
            kept.append(entry)
        else:
            name = entry.get("name") if isinstance(entry, dict) else None
            called = shorten(name, 60) if isinstance(name, str) and name else "An entry"
            skipped(f"{called} was skipped: it is none of the protocol's {key}.")
    return {**raw, key: kept}


def _is_valid(method: str, version: str, raw: Mapping[str, Any]) -> bool:
    try:
        methods.validate_server_result(method, version, raw)
    except ValidationError:
        return False
    except (KeyError, ValueError):  # a method or a version that the package does not check
        return True
    return True

"""Entries of a server's lists that are none of the protocol's: they are left out, and cost no other entry."""

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


def skip_odd_entries(client: Client, skipped: Callable[[str], None]) -> None:
    """Makes the lists of an open client tolerant: `skipped` is called with a sentence for staff for each entry that is
    left out. The package refuses a whole list for one entry.
    """
    dispatcher: Any = client.session._dispatcher  # noqa: SLF001 -- nothing public comes between the answer and its check
    send = dispatcher.send_raw_request

    async def tolerant(method: str, params: Any, opts: Any) -> Any:
        raw = await send(method, params, opts)
        return _readable(method, client.protocol_version, raw, skipped) if method in LISTS else raw

    dispatcher.send_raw_request = tolerant


def _readable(method: str, version: str, raw: Any, skipped: Callable[[str], None]) -> Any:
    key = LISTS[method]
    if not isinstance(raw, dict) or not isinstance(raw.get(key), list) or _is_valid(method, version, raw):
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

"""One call of an operation of an API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2
import structlog

from accounts.lib.texts import gettext_noop
from workers.tools.base import MAX_OUTPUT_CHARS, Picture, ToolContext, ToolError, ToolResult
from workers.tools.decoding import decode_text
from workers.tools.servers.http import RefusedAddressError, TooLargeError, guarded_client
from workers.tools.servers.listing import shorten
from workers.tools.servers.openapi.document import BODY
from workers.tools.servers.stored import StoredServer, StoredTool

PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_PICTURE_BYTES: Final = 5 * 1024 * 1024
JSON: Final = "application/json"

logger = structlog.get_logger(__name__)


async def call_operation(tool: StoredTool, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    """The response, as text or a picture. An HTTP error is a result that failed. Raises `ToolError`."""
    server, recipe = tool.home, tool.recipe
    seconds = min(server.timeout, context.deadline - time.monotonic())
    if seconds <= 0:
        raise ToolError(gettext_noop("There was no time left to call %(server)s."), {"server": server.title})
    if not server.address:
        raise ToolError(
            gettext_noop("%(server)s has no address yet. Please tell an administrator."), {"server": server.title}
        )
    request = build_request(server, recipe, arguments, str(context.call_id))
    writes = tool.effect == "writes"
    title = server.title
    try:
        async with guarded_client(allow_private=server.allow_private, timeout=seconds) as client:
            response = await client.send(request)
    except RefusedAddressError:
        failure = ToolError(gettext_noop("%(server)s is at an address that may not be used."), {"server": title})
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        failure = ToolError(gettext_noop("%(server)s cannot be reached."), {"server": title})
    except TooLargeError:
        failure = ToolError(gettext_noop("%(server)s sent more than is read."), {"server": title}, uncertain=writes)
    except httpx2.TimeoutException:
        failure = ToolError(gettext_noop("%(server)s did not answer in time."), {"server": title}, uncertain=writes)
    except (httpx2.HTTPError, OSError) as error:
        failure = ToolError(
            gettext_noop("The connection to %(server)s was lost."),
            {"server": title},
            uncertain=writes,
            detail=type(error).__name__,
        )
    else:
        return convert_response(server, response)
    logger.warning("tool_server_call_failed", server=tool.home.slug, tool=tool.name, detail=failure.sentence)
    raise failure


def build_request(
    server: StoredServer, recipe: Mapping[str, Any], arguments: Mapping[str, Any], key: str
) -> httpx2.Request:
    """The request of a call. `key` is its idempotency key. Raises `ToolError`."""
    path: str = recipe["path"]
    query: list[tuple[str, str]] = []
    headers = {"Accept": f"{JSON}, text/*;q=0.9, image/*;q=0.8, */*;q=0.5", "Accept-Encoding": "identity"}
    for argument, place in recipe["places"].items():
        value = arguments.get(argument)
        name: str = place["name"]
        if place["in"] == "path":
            path = path.replace(f"{{{name}}}", _segment(argument, value))
        elif value is None:
            continue
        elif place["in"] == "query":
            query += _pairs(name, value, explode=bool(place.get("explode", True)))
        else:
            headers[name] = _header(argument, value)
    if recipe["method"] not in ("GET", "HEAD", "OPTIONS"):
        headers["Idempotency-Key"] = key
    content: bytes | None = None
    if "body" in recipe and BODY in arguments:
        headers["Content-Type"] = recipe["body"]
        content = _body(recipe["body"], arguments[BODY])
    base, _, given = server.address.partition("?")
    whole = "&".join(part for part in (given, urlencode(query)) if part)
    url = f"{base.rstrip('/')}{path}" + (f"?{whole}" if whole else "")
    named = {name.lower() for name in server.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}  # staff's headers count
    return httpx2.Request(recipe["method"], url, headers={**kept, **server.headers}, content=content)


def convert_response(server: StoredServer, response: httpx2.Response) -> ToolResult:
    """A response as a result, without the server's secrets, which some servers repeat."""
    status = response.status_code
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    failed = not 200 <= status < 300
    if kind in PICTURES and not failed and len(response.content) <= MAX_PICTURE_BYTES:
        return ToolResult("[It returned a picture.]", pictures=(Picture(kind, response.content),))
    if 300 <= status < 400:
        return ToolResult(f"HTTP {status}: it leads to another address, which was not followed.", failed=True)
    textual = kind.startswith("text/") or kind.endswith(("json", "xml", "yaml")) or not kind
    size = len(response.content)
    if not size:
        text = "[It returned nothing.]"
    elif textual:
        text = server.mask(decode_text(response.content, response.charset_encoding or ""))
    else:
        text = f"[{size} bytes of {shorten(kind, 60)}, which are not shown.]"
    text = f"HTTP {status}\n{text}" if failed else text
    if len(text) > MAX_OUTPUT_CHARS:
        note = f"\n\n[Cut: the result has {len(text)} characters.]"
        text = text[: MAX_OUTPUT_CHARS - len(note)] + note
    return ToolResult(text, failed=failed)


def _segment(name: str, value: Any) -> str:
    text = _plain(name, value)
    if text in ("", ".", ".."):
        raise ToolError(gettext_noop("Give a value for %(name)s."), {"name": name})
    return quote(text, safe="")


def _plain(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_plain(name, one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _pairs(name: str, value: Any, *, explode: bool) -> list[tuple[str, str]]:
    if isinstance(value, list) and explode:
        return [(name, _plain(name, one)) for one in value]
    return [(name, _plain(name, value))]


def _header(name: str, value: Any) -> str:
    text = _plain(name, value)
    if not (text.isascii() and text.isprintable()):
        raise ToolError(gettext_noop("%(name)s must be one line of ASCII characters."), {"name": name})
    return text


def _body(kind: str, value: Any) -> bytes:
    if kind == "application/x-www-form-urlencoded":
        pairs = value.items() if isinstance(value, dict) else ()
        return urlencode([pair for name, one in pairs for pair in _pairs(str(name), one, explode=True)]).encode()
    return json.dumps(value, ensure_ascii=False).encode()

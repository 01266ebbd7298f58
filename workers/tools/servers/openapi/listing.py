"""Lists the operations of an API: its document was entered, or is fetched."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx2

from accounts.lib.db import in_db
from accounts.lib.texts import gettext_noop
from chat.catalog.tool_servers import origin_of
from chat.models import ToolServer
from workers.tools.base import ToolError
from workers.tools.decoding import decode_text
from workers.tools.servers.http import RefusedAddressError, guarded_client
from workers.tools.servers.listing import Listing, clean, tidy
from workers.tools.servers.openapi.document import BadDocumentError, base_url, operations, read_document
from workers.tools.servers.stored import StoredServer

ACCEPT: Final = "application/json, application/yaml;q=0.9, text/yaml;q=0.9, */*;q=0.5"
FETCH_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class _Entered:
    document: str
    document_address: str
    etag: str
    listed: bool


async def list_document(server: StoredServer, known: dict[str, str]) -> Listing:
    """What the document offers. Raises `ToolError`."""
    entered = await in_db(_read, server)
    etag = ""
    text = entered.document
    if not text:
        response = await _fetch(server, entered)
        if response.status_code == 304:
            return Listing((), unchanged=True)
        text = decode_text(response.content, response.charset_encoding or "")
        etag = response.headers.get("ETag", "")[:200]
    return await asyncio.to_thread(_list, server, entered, text, etag, known)  # a large one takes a second


def _list(server: StoredServer, entered: _Entered, text: str, etag: str, known: dict[str, str]) -> Listing:
    try:
        document = read_document(text)
        notes: list[str] = []
        offered = operations(document, notes)
        address = base_url(document, server.address, entered.document_address)
    except BadDocumentError as error:
        raise ToolError(
            gettext_noop("The document of %(server)s cannot be used: %(reason)s."),
            {"server": server.title, "reason": str(error)},
        ) from None
    tools, skipped = tidy(offered, known)
    info = document.get("info")
    about = info if isinstance(info, dict) else {}
    version = f"{clean(about.get('title'), 120)} {clean(str(about.get('version', '')), 60)}".strip()
    return Listing(tools, [*notes, *skipped], (), f"OpenAPI {document['openapi']}", version, address, etag)


def _read(server: StoredServer) -> _Entered:
    row = ToolServer.objects.get(pk=server.id)
    return _Entered(row.document, row.document_address, row.etag, row.listed_at is not None)


async def _fetch(server: StoredServer, entered: _Entered) -> httpx2.Response:
    """The document. The headers are sent only to the server that they are for."""
    theirs = bool(server.address) and origin_of(server.address) == origin_of(entered.document_address)
    headers = {**(server.headers if theirs else {}), "Accept": ACCEPT}
    if entered.listed and entered.etag:
        headers["If-None-Match"] = entered.etag
    failure = ""
    try:
        async with guarded_client(allow_private=server.allow_private, timeout=FETCH_SECONDS) as client:
            response = await client.get(entered.document_address, headers=headers)
    except RefusedAddressError:
        failure = "it is at an address that may not be used"
    except (httpx2.HTTPError, OSError) as error:
        failure = f"it cannot be fetched ({type(error).__name__})"
    else:
        if response.status_code in (200, 304):
            return response
        failure = f"its address answers HTTP {response.status_code}"
    raise ToolError(
        gettext_noop("The document of %(server)s cannot be used: %(reason)s."),
        {"server": server.title, "reason": failure},
    )

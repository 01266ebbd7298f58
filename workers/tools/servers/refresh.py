"""Lists what servers offer: when they are set up, when they say that it changed, and from time to time.

Log-ins at servers are refreshed in `tokens`.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.catalog.tool_servers import existing
from chat.models import ConnectionState, ServerAuth, ServerKind, ToolConnection, ToolServer
from workers.tools.base import QuestionAskedError, ToolError
from workers.tools.servers.listing import Listing
from workers.tools.servers.pool import load_client, session_pool
from workers.tools.servers.publish import known_names, save_failure, save_listing
from workers.tools.servers.stored import StoredServer, find_server
from workers.tools.servers.tokens import access_token

LIST_SECONDS: Final = 60.0
AT_ONCE: Final = 4

logger = structlog.get_logger(__name__)
_refreshing: dict[uuid.UUID, asyncio.Task[None]] = {}


async def refresh_due() -> None:
    """Lists the servers whose turn it is. Of several processes one does it for each server."""
    for server_id in await in_db(_claim_due):
        await refresh(server_id)


def refresh_soon(server_id: uuid.UUID) -> None:
    """Lists a server in the background, unless that is being done. Call it on the loop."""
    if server_id in _refreshing:
        return
    task = asyncio.get_running_loop().create_task(refresh(server_id))
    _refreshing[server_id] = task
    task.add_done_callback(lambda _: _refreshing.pop(server_id, None))


async def refresh(server_id: uuid.UUID, user_id: uuid.UUID | None = None) -> None:
    """Lists a server and stores what it offers, or why that failed. Raises nothing."""
    try:
        server = await in_db(find_server, server_id)
        if server is None:
            return
        try:
            listing = await fetch_listing(server, user_id)
        except ToolError as error:
            logger.warning("tool_server_not_listed", server=server.slug, detail=error.detail or error.sentence)
            await in_db(save_failure, server_id, error.sentence)
            return
        held = await in_db(save_listing, server_id, listing)
        logger.info("tool_server_listed", server=server.slug, tools=len(listing.tools), held=held)
    except OUTAGE as error:
        logger.warning("tool_server_not_listed", server=str(server_id), error=type(error).__name__)


async def fetch_listing(server: StoredServer, user_id: uuid.UUID | None = None) -> Listing:
    """What a server offers, asked with the log-in of this person, or of the last one who connected.

    Raises `ToolError`.
    """
    if server.trouble:
        raise ToolError(server.trouble, {"server": server.title})
    known = await in_db(known_names, server.slug)
    try:
        async with asyncio.timeout(LIST_SECONDS):
            if server.kind == ServerKind.OPENAPI:
                from workers.tools.servers.openapi.listing import list_document

                return await list_document(server, known)
            if server.personal and user_id is None:
                user_id = await in_db(_somebody, server.id)
                if user_id is None:
                    raise ToolError(
                        gettext_noop("Nobody is connected to %(server)s, so its tools are not known yet."),
                        {"server": server.title},
                    )
            token = await access_token(server, user_id)
            lists = await load_client("lists")
            async with session_pool().borrow(server, user_id, token, LIST_SECONDS, fresh=True) as session:
                listing: Listing = await lists.list_server(session, known)
                return listing
    except TimeoutError:
        raise ToolError(
            gettext_noop("%(server)s did not list its tools within %(seconds)s s."),
            {"server": server.title, "seconds": f"{LIST_SECONDS:g}"},
        ) from None
    except QuestionAskedError:
        raise ToolError(
            gettext_noop("%(server)s asked a question instead of listing its tools."), {"server": server.title}
        ) from None


def _claim_due() -> list[uuid.UUID]:
    """Some of the servers that were not listed for `TOOL_LIST_SECONDS`. They count as tried from now on."""
    sync_stdio()
    due = Q(checked_at=None) | Q(checked_at__lt=timezone.now() - timedelta(seconds=settings.TOOL_LIST_SECONDS))
    rows = ToolServer.objects.filter(due, existing(), enabled=True).order_by("checked_at")
    found = list(rows.values_list("pk", flat=True)[:AT_ONCE])
    return [one for one in found if ToolServer.objects.filter(due, pk=one).update(checked_at=timezone.now())]


def _somebody(server_id: uuid.UUID) -> uuid.UUID | None:
    """The user who connected last."""
    connected = ToolConnection.objects.filter(server=server_id, state=ConnectionState.CONNECTED)
    return connected.order_by("-connected_at").values_list("user_id", flat=True).first()


def sync_stdio() -> None:
    """Makes a row of each server of `TOOL_SERVERS_STDIO`. Staff decide in it who may use it."""
    for slug, found in settings.TOOL_SERVERS_STDIO.items():
        title = str(found.get("title") or slug)[:80]
        ToolServer.objects.get_or_create(
            slug=slug, defaults={"title": title, "kind": ServerKind.MCP_STDIO, "auth": ServerAuth.NONE}
        )

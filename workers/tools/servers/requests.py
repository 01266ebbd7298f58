"""What pages ask this worker to do with tool servers (`chat.jobs.tool_servers`)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.jobs.tool_servers import ServerReply
from chat.jobs.worker_replies import WAIT_SECONDS, is_awaited, send_reply
from chat.models import ToolConnection
from workers.tools.base import ToolError
from workers.tools.servers.pool import load_client
from workers.tools.servers.prompts import fetch_prompt
from workers.tools.servers.publish import save_failure, save_listing
from workers.tools.servers.refresh import fetch_listing, refresh_soon
from workers.tools.servers.stored import StoredServer, find_server, read_server
from workers.tools.servers.tokens import save_tokens

GONE: Final = ServerReply(False, gettext_noop("It has been deleted."))
REPLY_SECONDS: Final = 3.0  # of the time that a page waits, for the way back

logger = structlog.get_logger(__name__)


async def answer(action: str, id_: uuid.UUID, args: Sequence[str], reply_to: str) -> None:
    """Does what a page asks for, if it still waits, and for no longer than it waits."""
    if not await is_awaited(reply_to):
        return
    try:
        async with asyncio.timeout(WAIT_SECONDS - REPLY_SECONDS):
            reply = await _do(action, id_, args)
    except ToolError as error:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail=error.detail or error.sentence)
        reply = ServerReply(False, error.sentence)
    except UnreadableError:
        reply = ServerReply(False, _("What is stored here cannot be decrypted. Disconnect, then connect again."))
    except TimeoutError:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail="time")
        reply = ServerReply(
            False,
            _("The server did not answer within %(wait_seconds)s s.")
            % {"wait_seconds": f"{WAIT_SECONDS - REPLY_SECONDS:g}"},
        )
    except OUTAGE as error:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail=type(error).__name__)
        reply = ServerReply(False, _("The database cannot be reached at the moment. Try again."))
    except Exception:
        logger.exception("tool_server_request_crashed", action=action, id=str(id_))
        reply = ServerReply(False, _("This failed because of an internal error, which is in the worker's log."))
    await send_reply(reply_to, msgspec.json.encode(reply))


async def _do(action: str, id_: uuid.UUID, args: Sequence[str]) -> ServerReply:
    if action == "test":
        return await _test(id_)
    if action == "prompt":
        user_id, name, arguments = args
        return await _fill_in(id_, uuid.UUID(user_id), name, msgspec.json.decode(arguments, type=dict[str, str]))
    connection = await in_db(_find_connection, id_)
    if connection is None:
        return GONE
    server = read_server(connection.server)
    if action == "login":
        state, callback = args
        return await _begin(connection, server, state, callback)
    if action == "finish":
        return await _finish(connection, server)
    return await _revoke(connection, server)


async def _test(server_id: uuid.UUID) -> ServerReply:
    server = await in_db(find_server, server_id)
    if server is None:
        return GONE
    began = time.monotonic()
    try:
        listing = await fetch_listing(server)
    except ToolError as error:
        await in_db(save_failure, server_id, error.sentence)
        return ServerReply(False, error.sentence)
    held = await in_db(save_listing, server_id, listing)
    count = len(listing.tools)
    tools = "1 tool" if count == 1 else f"{count} tools"
    took = int((time.monotonic() - began) * 1000)
    sentence = _("It works: %(value)s lists %(tools)s (%(took)s ms).") % {
        "value": listing.version or server.title,
        "tools": tools,
        "took": took,
    }
    if held:
        sentence += _(" %(held)s changed or new: look at them below.") % {"held": held}
    return ServerReply(True, " ".join([sentence, *listing.notes])[:2000])


async def _fill_in(server_id: uuid.UUID, user_id: uuid.UUID, name: str, arguments: Mapping[str, str]) -> ServerReply:
    server = await in_db(find_server, server_id)
    if server is None:
        return GONE
    return ServerReply(True, text=await fetch_prompt(server, user_id, name, arguments))


async def _begin(connection: ToolConnection, server: StoredServer, state: str, callback: str) -> ServerReply:
    oauth = await load_client("oauth")
    row = connection.server
    login = await oauth.begin(
        server, state, callback, client=connection.read("client"), client_id=row.client_id,
        secret=row.read_client_secret(), scopes=row.scopes,
    )  # fmt: skip

    def save() -> None:
        connection.write("pending", login.pending)
        connection.write("client", login.client)
        connection.discovered = dict(login.discovered)
        connection.save(update_fields=["encrypted_pending", "encrypted_client", "discovered"])

    await in_db(save)
    return ServerReply(True, url=login.url)


async def _finish(connection: ToolConnection, server: StoredServer) -> ServerReply:
    pending = connection.read("pending")
    if not pending.get("code"):
        return ServerReply(False, _("This log-in has ended already. Connect again."))
    oauth = await load_client("oauth")
    tokens = await oauth.finish(
        server, pending["code"], pending.get("issuer"), pending=pending, client=connection.read("client"),
        discovered=connection.discovered,
    )  # fmt: skip

    def save() -> None:
        with transaction.atomic():
            row = ToolConnection.objects.select_for_update().filter(pk=connection.pk).first()
            if row is not None:
                row.connected_at = timezone.now()
                save_tokens(row, tokens.stored, tokens.expires_in, tokens.scopes)

    await in_db(save)
    refresh_soon(server.id)
    return ServerReply(True, _("You are connected to %(title)s.") % {"title": server.title})


async def _revoke(connection: ToolConnection, server: StoredServer) -> ServerReply:
    oauth = await load_client("oauth")
    tokens: Any = connection.read("tokens")
    revoked = bool(tokens) and await oauth.revoke(
        server, tokens, client=connection.read("client"), discovered=connection.discovered
    )
    await in_db(connection.delete)
    ended = _(" Its tokens were revoked there, too.") if revoked else ""
    return ServerReply(True, f"You are no longer connected to {server.title}.{ended}")


def _find_connection(connection_id: uuid.UUID) -> ToolConnection | None:
    return ToolConnection.objects.select_related("server").filter(pk=connection_id).first()

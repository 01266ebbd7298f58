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
from django.utils.translation import ngettext

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.outage import OUTAGE
from chat.jobs.tool_servers import ServerReply
from chat.jobs.worker_replies import WAIT_SECONDS, is_awaited, page_language, send_reply
from chat.models import ToolConnection
from workers.tools.base import ToolError
from workers.tools.servers.pool import load_client
from workers.tools.servers.prompts import fetch_prompt
from workers.tools.servers.publish import save_failure, save_listing
from workers.tools.servers.refresh import fetch_listing, refresh_soon
from workers.tools.servers.stored import StoredServer, find_server, read_server
from workers.tools.servers.tokens import save_tokens

REPLY_SECONDS: Final = 3.0  # of the time that a page waits, for the way back

logger = structlog.get_logger(__name__)


async def answer(action: str, id_: uuid.UUID, args: Sequence[str], reply_to: str) -> None:
    """Does what a page asks for, if it still waits, and for no longer than it waits. The reply is in its language."""
    if await is_awaited(reply_to):
        with await page_language(reply_to):
            reply = await _reply(action, id_, args)
        await send_reply(reply_to, msgspec.json.encode(reply))


async def _reply(action: str, id_: uuid.UUID, args: Sequence[str]) -> ServerReply:
    try:
        async with asyncio.timeout(WAIT_SECONDS - REPLY_SECONDS):
            return await _do(action, id_, args)
    except ToolError as error:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail=error.detail or error.sentence)
        return ServerReply(False, error.told)
    except UnreadableError:
        return ServerReply(False, _("What is stored here cannot be decrypted. Disconnect, then connect again."))
    except TimeoutError:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail="time")
        return ServerReply(
            False,
            _("The server did not answer within %(wait_seconds)s s.")
            % {"wait_seconds": f"{WAIT_SECONDS - REPLY_SECONDS:g}"},
        )
    except OUTAGE as error:
        logger.warning("tool_server_request_failed", action=action, id=str(id_), detail=type(error).__name__)
        return ServerReply(False, _("The database cannot be reached at the moment. Try again."))
    except Exception:
        logger.exception("tool_server_request_crashed", action=action, id=str(id_))
        return ServerReply(False, _("This failed because of an internal error, which is in the worker's log."))


async def _do(action: str, id_: uuid.UUID, args: Sequence[str]) -> ServerReply:
    if action == "test":
        return await _test(id_)
    if action == "prompt":
        user_id, name, arguments = args
        return await _fill_in(id_, uuid.UUID(user_id), name, msgspec.json.decode(arguments, type=dict[str, str]))
    connection = await in_db(_find_connection, id_)
    if connection is None:
        return _gone()
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
        return _gone()
    began = time.monotonic()
    try:
        listing = await fetch_listing(server)
    except ToolError as error:
        await in_db(save_failure, server_id, error.sentence)
        return ServerReply(False, error.told)
    held = await in_db(save_listing, server_id, listing)
    sentences = [
        ngettext(
            "It works: %(server)s lists %(count)s tool (%(ms)s ms).",
            "It works: %(server)s lists %(count)s tools (%(ms)s ms).",
            len(listing.tools),
        )
        % {
            "server": listing.version or server.title,
            "count": len(listing.tools),
            "ms": int((time.monotonic() - began) * 1000),
        }
    ]
    if held:
        said = ngettext(
            "%(count)s is changed or new: look at it below.", "%(count)s are changed or new: look at them below.", held
        )
        sentences.append(said % {"count": held})
    return ServerReply(True, " ".join([*sentences, *listing.notes])[:2000])


async def _fill_in(server_id: uuid.UUID, user_id: uuid.UUID, name: str, arguments: Mapping[str, str]) -> ServerReply:
    server = await in_db(find_server, server_id)
    if server is None:
        return _gone()
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
    if revoked:
        said = _("You are no longer connected to %(server)s. Its tokens were revoked there, too.")
    else:
        said = _("You are no longer connected to %(server)s.")
    return ServerReply(True, said % {"server": server.title})


def _gone() -> ServerReply:
    return ServerReply(False, _("It has been deleted."))


def _find_connection(connection_id: uuid.UUID) -> ToolConnection | None:
    return ToolConnection.objects.select_related("server").filter(pk=connection_id).first()

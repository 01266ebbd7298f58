"""A person's access token for a server: refreshed early, and by one process at a time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import OperationalError, transaction
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from chat.models import ConnectionState, ToolConnection
from workers.tools.base import ToolError
from workers.tools.servers.pool import load_client
from workers.tools.servers.stored import StoredServer

EARLY: Final = timedelta(seconds=120)  # before a token expires, it is refreshed
REFRESH_SECONDS: Final = 8.0  # less than an idle transaction may last
WAITS: Final = 5  # times that another process's refresh is waited for
USED_EVERY: Final = timedelta(minutes=1)  # how exact `last_used_at` is
CONNECT_AGAIN: Final = "Connect again under Settings, My connections."

logger = structlog.get_logger(__name__)
_refreshes: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


@dataclass(frozen=True, slots=True)
class _Held:
    """What is stored. `due`: it is to be refreshed. `expired`: it cannot be used any more."""

    token: str = field(repr=False)
    due: bool
    expired: bool


async def access_token(server: StoredServer, user_id: uuid.UUID | None, *, refused: str = "") -> str:
    """The token to send; empty: the server needs none. `refused` is one that the server did not accept.

    Raises `ToolError` with what the person has to do.
    """
    if not server.personal:
        return ""
    held = await in_db(_read, server, user_id, refused)
    if not held.due:
        return held.token
    loop = asyncio.get_running_loop()
    if loop not in _refreshes:
        _refreshes.clear()
        _refreshes[loop] = asyncio.Semaphore(2)  # each keeps a thread and a database connection
    try:
        oauth = await load_client("oauth")
        async with _refreshes[loop]:
            return await in_db(_refresh, server, user_id, refused, oauth, loop)
    except ToolError:
        still = await in_db(_read, server, user_id, refused)
        if still.expired:
            raise
        return still.token  # the refresh was early: the old one goes on for a while


async def mark_expired(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> None:
    """Marks a connection as ended, if the token that was refused is still the one that is stored."""

    def mark() -> None:
        with transaction.atomic():
            row = _find(server, user_id, lock=True)
            if row is not None and row.read("tokens").get("access_token") == refused:
                _expire(row, f"{server.title} did not accept the log-in any more.")

    await in_db(mark)


def _find(server: StoredServer, user_id: uuid.UUID | None, *, lock: bool = False) -> ToolConnection | None:
    rows = ToolConnection.objects.select_for_update() if lock else ToolConnection.objects
    return rows.filter(server=server.id, user=user_id).first() if user_id is not None else None


def _read(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> _Held:
    row = _find(server, user_id)
    if row is None or (row.state == ConnectionState.CONNECTING and not row.encrypted_tokens):
        raise ToolError(f"Connect to {server.title} first, under Settings, My connections.")
    held = _hold(server, row, refused)
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at < now - USED_EVERY:
        ToolConnection.objects.filter(pk=row.pk).update(last_used_at=now)
    return held


def _hold(server: StoredServer, row: ToolConnection, refused: str) -> _Held:
    if row.state == ConnectionState.EXPIRED:
        raise ToolError(f"Your log-in at {server.title} has ended. {CONNECT_AGAIN}")
    try:
        token = str(row.read("tokens").get("access_token", ""))
    except UnreadableError:
        raise ToolError(f"Your log-in at {server.title} cannot be decrypted. {CONNECT_AGAIN}") from None
    now = timezone.now()
    expired = token == refused or (row.expires_at is not None and row.expires_at <= now)
    return _Held(token, expired or (row.expires_at is not None and row.expires_at <= now + EARLY), expired)


def _refresh(
    server: StoredServer, user_id: uuid.UUID | None, refused: str, oauth: Any, loop: asyncio.AbstractEventLoop
) -> str:
    """The new token. Others wait for the row, and find it there. Called in a thread of the database.

    A process that is killed here gives the row free, and the next one refreshes. Only if the server had already
    replaced the refresh token, and accepts the old one no more, does the person have to connect again.
    """
    for _ in range(WAITS):
        try:
            with transaction.atomic():
                row = _find(server, user_id, lock=True)
                if row is None:
                    raise ToolError(f"Connect to {server.title} first, under Settings, My connections.")
                held = _hold(server, row, refused)
                if not held.due:
                    return held.token  # another process was first
                refused_now = _try_refresh(server, row, oauth, loop)
                if not refused_now:
                    return str(row.read("tokens")["access_token"])
                _expire(row, refused_now)
            raise ToolError(f"Your log-in at {server.title} has ended. {CONNECT_AGAIN}")
        except OperationalError:  # another process has had the row for longer than a lock is waited for
            continue
    raise ToolError(f"Your log-in at {server.title} could not be renewed. Try again in a moment.")


def _try_refresh(server: StoredServer, row: ToolConnection, oauth: Any, loop: asyncio.AbstractEventLoop) -> str:
    """Refreshes and saves; why the log-in has ended, empty: it has not. Raises `ToolError`."""
    tokens = row.read("tokens")
    if not tokens.get("refresh_token"):
        if row.expires_at is not None and row.expires_at > timezone.now():
            raise ToolError(f"Your log-in at {server.title} cannot be renewed.")
        return f"{server.title} gave a log-in that cannot be renewed, and it has expired."
    request = oauth.refresh(server, tokens, client=row.read("client"), discovered=row.discovered)
    waiting = asyncio.run_coroutine_threadsafe(request, loop)
    try:
        new = waiting.result(REFRESH_SECONDS)
    except oauth.LogInRefusedError as error:
        return str(error.sentence)
    except TimeoutError:
        waiting.cancel()
        raise ToolError(f"The log-in of {server.title} did not answer in time.") from None
    save_tokens(row, new.stored, new.expires_in, new.scopes)
    logger.info("tool_token_refreshed", server=server.slug, expires_in=new.expires_in)
    return ""


def save_tokens(row: ToolConnection, stored: Mapping[str, Any], expires_in: int | None, scopes: str) -> None:
    """Saves new tokens in a row that is locked."""
    now = timezone.now()
    row.write("tokens", stored)
    row.write("pending", None)
    row.state, row.error, row.scopes = ConnectionState.CONNECTED, "", scopes[:1000]
    row.expires_at = None if expires_in is None else now + timedelta(seconds=max(0, min(expires_in, 10**8)))
    row.refreshed_at, row.version = now, row.version + 1
    row.save()


def _expire(row: ToolConnection, error: str) -> None:
    row.write("tokens", None)
    row.state, row.error, row.expires_at = ConnectionState.EXPIRED, error[:300], None
    row.save(update_fields=["encrypted_tokens", "state", "error", "expires_at"])
    logger.warning("tool_connection_expired", connection=str(row.pk))

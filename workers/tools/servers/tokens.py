"""A person's OAuth access token for a server: refreshed early, and by one process at a time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import connection, transaction
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.per_loop import PerLoop
from accounts.lib.texts import gettext_noop
from chat.jobs.tool_servers import NOT_ACCEPTED, NOT_RENEWABLE
from chat.models import ConnectionState, ToolConnection
from workers.tools.base import ToolError
from workers.tools.servers.pool import load_client
from workers.tools.servers.stored import StoredServer

EARLY: Final = timedelta(seconds=120)  # before a token expires, it is refreshed
REFRESH_SECONDS: Final = 30.0  # for a refresh, also one that nobody waits for any more
WAIT_SECONDS: Final = 45.0  # a call waits for a refresh, also another process's
EARLY_SECONDS: Final = 5.0  # likewise, while the old token is still good
LOOK_SECONDS: Final = 0.25  # between two looks at another process's refresh
AT_ONCE: Final = 2  # refreshes at one server from a process: each keeps a thread and a database connection
USED_EVERY: Final = timedelta(minutes=1)  # how exact `last_used_at` is

logger = structlog.get_logger(__name__)
_slots: Final[PerLoop[dict[uuid.UUID, asyncio.Semaphore]]] = PerLoop(dict)
_refreshes: dict[tuple[asyncio.AbstractEventLoop, uuid.UUID, uuid.UUID | None, str], asyncio.Task[str]] = {}


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
    try:
        async with asyncio.timeout(WAIT_SECONDS if held.expired else EARLY_SECONDS):
            return await asyncio.shield(_start_refresh(server, user_id, refused))
    except (ToolError, TimeoutError) as error:
        still = await in_db(_read, server, user_id, refused)
        if still.expired:
            raise error if isinstance(error, ToolError) else _slow(server) from None
        return still.token  # the refresh was early: the old one goes on for a while


def _start_refresh(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> asyncio.Task[str]:
    """The refresh of a log-in, one for all calls of this process. It goes on also if none of them waits any more."""
    loop = asyncio.get_running_loop()
    key = (loop, server.id, user_id, refused)
    if (running := _refreshes.get(key)) is not None:
        return running
    task = _refreshes[key] = loop.create_task(_refresh_in_turn(server, user_id, refused))

    def forget(done: asyncio.Task[str]) -> None:
        _refreshes.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits has it

    task.add_done_callback(forget)
    return task


async def _refresh_in_turn(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> str:
    """The new token, or that of another process, whose refresh is waited for without a thread and a connection."""
    loop = asyncio.get_running_loop()
    oauth = await load_client("oauth")
    slot = _slots().setdefault(server.id, asyncio.Semaphore(AT_ONCE))
    until = loop.time() + WAIT_SECONDS
    while True:
        async with slot:
            token = await in_db(_refresh, server, user_id, refused, oauth, loop)
        if token is not None:
            return token
        if loop.time() >= until:
            raise _slow(server)
        await asyncio.sleep(LOOK_SECONDS)


def _slow(server: StoredServer) -> ToolError:
    return ToolError(
        gettext_noop("Your log-in at %(server)s is being renewed, which takes long. Try again in a moment."),
        {"server": server.title},
    )


async def mark_expired(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> None:
    """Marks a connection as ended, if the token that was refused is still the one that is stored."""

    def mark() -> None:
        with transaction.atomic():
            row = _find(server, user_id, lock=True)
            if row is not None and row.read("tokens").get("access_token") == refused:
                _expire(row, NOT_ACCEPTED % {"server": server.title})

    await in_db(mark)


def _find(server: StoredServer, user_id: uuid.UUID | None, *, lock: bool = False) -> ToolConnection | None:
    rows = ToolConnection.objects.select_for_update() if lock else ToolConnection.objects
    return rows.filter(server=server.id, user=user_id).first() if user_id is not None else None


def _read(server: StoredServer, user_id: uuid.UUID | None, refused: str) -> _Held:
    row = _find(server, user_id)
    if row is None or (row.state == ConnectionState.CONNECTING and not row.encrypted_tokens):
        raise _connect_first(server)
    held = _hold(server, row, refused)
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at < now - USED_EVERY:
        ToolConnection.objects.filter(pk=row.pk).update(last_used_at=now)
    return held


def _hold(server: StoredServer, row: ToolConnection, refused: str) -> _Held:
    if row.state == ConnectionState.EXPIRED:
        raise ToolError(
            gettext_noop("Your log-in at %(server)s has ended. Connect again under Settings, My connections."),
            {"server": server.title},
        )
    try:
        token = str(row.read("tokens").get("access_token", ""))
    except UnreadableError:
        raise ToolError(
            gettext_noop(
                "Your log-in at %(server)s cannot be decrypted. Connect again under Settings, My connections."
            ),
            {"server": server.title},
        ) from None
    now = timezone.now()
    expired = token == refused or (row.expires_at is not None and row.expires_at <= now)
    return _Held(token, expired or (row.expires_at is not None and row.expires_at <= now + EARLY), expired)


def _refresh(
    server: StoredServer, user_id: uuid.UUID | None, refused: str, oauth: Any, loop: asyncio.AbstractEventLoop
) -> str | None:
    """The new token; None: another process is refreshing it. Called in a thread of the database.

    The lock is one of this transaction and not that of the row, which may be deleted meanwhile. A process that is
    killed here, or stands still, loses it, and the next one refreshes. Only if the server had already replaced the
    refresh token, and accepts the old one no more, does the person have to connect again.
    """
    with transaction.atomic():
        row = _find(server, user_id)
        if row is None:
            raise _connect_first(server)
        if not _lock(row):
            return None
        row.refresh_from_db()  # it may have been refreshed before the lock was had
        held = _hold(server, row, refused)
        if not held.due:
            return held.token
        new, ended = _ask(server, row, oauth, loop)
        now = _find(server, user_id, lock=True)
        if now is None:
            raise _connect_first(server)
        if now.version != row.version:  # they have logged in again meanwhile
            return _hold(server, now, refused).token
        if new is not None:
            save_tokens(now, new.stored, new.expires_in, new.scopes)
            logger.info("tool_token_refreshed", server=server.slug, expires_in=new.expires_in)
            return str(now.read("tokens")["access_token"])
        _expire(now, ended)
    raise ToolError(
        gettext_noop("Your log-in at %(server)s has ended. Connect again under Settings, My connections."),
        {"server": server.title},
    )


def _lock(row: ToolConnection) -> bool:
    """Locks the refresh of a log-in up to the end of the transaction, which may be idle for as long as that takes."""
    idle = f"{int((REFRESH_SECONDS + 10) * 1000)}ms"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
            " pg_try_advisory_xact_lock(hashtext('tool_token'), hashtext(%s))",
            [idle, str(row.pk)],
        )
        return bool(cursor.fetchone()[1])


def _ask(server: StoredServer, row: ToolConnection, oauth: Any, loop: asyncio.AbstractEventLoop) -> tuple[Any, str]:
    """New tokens, or None and why the log-in has ended. Raises `ToolError`."""
    tokens = row.read("tokens")
    if not tokens.get("refresh_token"):
        if row.expires_at is not None and row.expires_at > timezone.now():
            raise ToolError(gettext_noop("Your log-in at %(server)s cannot be renewed."), {"server": server.title})
        return None, NOT_RENEWABLE % {"server": server.title}
    request = oauth.refresh(
        server, tokens, client=row.read("client"), discovered=row.discovered, seconds=REFRESH_SECONDS
    )
    waiting = asyncio.run_coroutine_threadsafe(request, loop)
    try:
        return waiting.result(REFRESH_SECONDS), ""
    except oauth.LogInRefusedError as error:
        return None, str(error.sentence)
    except TimeoutError:
        waiting.cancel()
        raise ToolError(
            gettext_noop("The log-in of %(server)s did not answer in time."), {"server": server.title}
        ) from None


def _connect_first(server: StoredServer) -> ToolError:
    source = gettext_noop("Connect to %(server)s first, under Settings, My connections.")
    return ToolError(source, {"server": server.title})


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

"""Ends sessions and closes their WebSockets with code 4401.

Ending a session takes three steps. Its row is deleted from PostgreSQL, which is authoritative. A mark in Redis refuses
handshakes in progress. A message to the session's group closes open sockets. The mark is set before the message is
sent, and a consumer joins its groups before it calls `was_revoked`, so one of the two always catches the socket. What
cannot be sent is followed by a request to check (`accounts.auth.later_checks`). While Redis is down, consumers still
notice: they call `accounts.auth.sessions.still_valid` periodically.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterable
from functools import partial

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from django.db import transaction

from accounts.auth.later_checks import check_later
from accounts.lib.redis import send_command, sync_redis
from accounts.models import Session, User

MARK_SECONDS = 60  # longer than the lifetime of a ticket
SEND_SECONDS = 2.0

logger = structlog.get_logger(__name__)


def session_hash(session_key: str) -> str:
    """The public name of a session: 32 hex digits that do not reveal the session key."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:32]


def session_group(hash_: str) -> str:
    """The channel-layer group of a session's sockets."""
    return f"session.{hash_}"


def user_group(user_id: uuid.UUID) -> str:
    """The channel-layer group of a user's sockets."""
    return f"user.{user_id.hex}"


def end_session(session_key: str) -> None:
    """Ends one session. Does nothing when the session does not exist."""
    row = Session.objects.filter(session_key=session_key).values_list("hash", "user_id").first()
    if row is None:
        return
    Session.objects.filter(session_key=session_key).delete()
    if row[1] is not None:  # sessions without a user have no sockets
        _announce_on_commit([row[0]], [session_group(row[0])])


def end_all_sessions(user: User, *, blocked: bool = False) -> int:
    """Ends every session of `user`. Returns how many there were.

    `blocked` is for accounts that are disabled or deleted: it also refuses sockets of sessions that are created at the
    same moment. The next log-in removes the block (`unblock_user`).
    """
    found = dict(Session.objects.filter(user=user).values_list("session_key", "hash"))
    Session.objects.filter(session_key__in=found).delete()
    _announce_on_commit(list(found.values()), [user_group(user.pk)], blocked=user.pk if blocked else None)
    return len(found)


def announce_ended_token(hashes: list[str]) -> None:
    """Closes what is open with API tokens (`accounts.auth.api_tokens.token_hash`) once they are no longer valid."""
    if hashes:
        _announce_on_commit(hashes, [session_group(hash_) for hash_ in hashes])


def unblock_user(user_id: uuid.UUID) -> None:
    """Removes the block of `end_all_sessions`. Sessions that were ended stay ended."""
    try:
        sync_redis().delete(_user_mark(user_id))
    except redis.RedisError as error:
        logger.warning("session_block_not_removed", user=str(user_id), error=str(error), expires_in=MARK_SECONDS)


async def was_revoked(user_id: uuid.UUID, hash_: str) -> bool:
    """Whether the session or all sessions of the user ended in the last `MARK_SECONDS`. Raises `redis.RedisError`."""
    return bool(await send_command("EXISTS", _session_mark(hash_), _user_mark(user_id)))


def _session_mark(hash_: str) -> str:
    return f"revoked:session:{hash_}"


def _user_mark(user_id: uuid.UUID) -> str:
    return f"revoked:user:{user_id.hex}"


def _announce_on_commit(hashes: list[str], groups: list[str], *, blocked: uuid.UUID | None = None) -> None:
    # robust: the rows are already deleted, and an error must not fail the log-out.
    transaction.on_commit(partial(_announce, hashes, groups, blocked), robust=True)


def _announce(hashes: list[str], groups: list[str], blocked: uuid.UUID | None) -> None:
    try:
        pipe = sync_redis().pipeline(transaction=False)
        for mark in [_session_mark(hash_) for hash_ in hashes] + ([_user_mark(blocked)] if blocked else []):
            pipe.set(mark, b"1", ex=MARK_SECONDS)
        pipe.execute()
        async_to_sync(_close_sockets)(groups)
    except (redis.RedisError, OSError, TimeoutError, ChannelFull) as error:
        logger.exception("revocation_not_announced", sessions=hashes, groups=groups, error=str(error))
        check_later(groups)


async def _close_sockets(groups: Iterable[str]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(SEND_SECONDS):
        for group in groups:
            await layer.group_send(group, {"type": "session.ended"})

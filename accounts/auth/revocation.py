"""Ends sessions, and tells every web process to close their sockets (4401) at once.

A session ends in three places: its row goes (PostgreSQL, the truth), a mark in Redis keeps a handshake that is under
way from slipping through, and a message to the group of its sockets closes those that are open. The marks are set
before the message is sent, and a consumer joins its groups before it asks `was_revoked`: whichever comes first, one of
the two catches the socket. When Redis is down, the first still holds: consumers ask
`accounts.auth.sessions.still_valid` again from time to time.
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

from accounts.lib.redis import async_redis, sync_redis
from accounts.models import Session, User

MARK_SECONDS = 60  # longer than a ticket lives (accounts.auth.tickets)
SEND_SECONDS = 2.0

logger = structlog.get_logger(__name__)


def session_hash(session_key: str) -> str:
    """The public name of a session: 32 hex digits, from which the key cannot be found again."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:32]


def session_group(hash_: str) -> str:
    return f"session.{hash_}"


def user_group(user_id: uuid.UUID) -> str:
    return f"user.{user_id.hex}"


def end_session(session_key: str) -> None:
    """Ends one session of whoever it belongs to; none by that key is fine."""
    row = Session.objects.filter(session_key=session_key).values_list("hash", "user_id").first()
    if row is None:
        return
    Session.objects.filter(session_key=session_key).delete()
    if row[1] is not None:  # nobody's session has no sockets
        _announce_on_commit([row[0]], [session_group(row[0])])


def end_all_sessions(user: User, *, blocked: bool = False) -> int:
    """Ends every session of `user` and says how many there were.

    `blocked`, for an account switched off or deleted, also refuses sockets of sessions made at this very moment;
    the next login lifts it (`unblock_user`).
    """
    found = dict(Session.objects.filter(user=user).values_list("session_key", "hash"))
    Session.objects.filter(session_key__in=found).delete()
    _announce_on_commit(list(found.values()), [user_group(user.pk)], blocked=user.pk if blocked else None)
    return len(found)


def unblock_user(user_id: uuid.UUID) -> None:
    """Forgets that the user was blocked: the account is in use again. The sessions ended then stay ended."""
    try:
        sync_redis().delete(_user_mark(user_id))
    except redis.RedisError as error:
        logger.warning("session_block_not_removed", user=str(user_id), error=str(error), expires_in=MARK_SECONDS)


async def was_revoked(user_id: uuid.UUID, hash_: str) -> bool:
    """Whether this session, or all of this user, was ended within the last minute. Raises `redis.RedisError`."""
    return bool(await async_redis().exists(_session_mark(hash_), _user_mark(user_id)))


def _session_mark(hash_: str) -> str:
    return f"revoked:session:{hash_}"


def _user_mark(user_id: uuid.UUID) -> str:
    return f"revoked:user:{user_id.hex}"


def _announce_on_commit(hashes: list[str], groups: list[str], *, blocked: uuid.UUID | None = None) -> None:
    # robust: the rows are gone already, and whoever logs out must not meet an error.
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


async def _close_sockets(groups: Iterable[str]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(SEND_SECONDS):
        for group in groups:
            await layer.group_send(group, {"type": "session.ended"})

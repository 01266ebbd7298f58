"""Tickets that authenticate a WebSocket upgrade, so that no secret is in a URL (docs/protocol.md §1).

A ticket is 256 random bits, valid once, for 30 s; one that an open socket has handed over for the next one, for a day
(`accounts.auth.resuming`). Redis stores its SHA-256 and its claims; only the browser has the ticket itself.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Collection
from typing import Final

import msgspec
from django.utils.translation import get_language

from accounts.auth.revocation import session_hash, was_revoked
from accounts.lib.redis import send_command, sync_redis

LIFETIME = 30  # seconds
RESUMABLE_LIFETIME = 24 * 3600
FOR_PAGES = "ws"  # the purpose of tickets for a page's socket
FOR_PROGRAMS = "program"  # of those for API tokens
TO_RESUME = "resume"  # of those that a socket hands over for the next one of its page
_REPLAY_SECONDS = 10  # a handshake may repeat its call for this long; longer than both tries (accounts.lib.redis)
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes as base64url without padding

# When a reply is late or lost, the client library repeats the call. The ticket is then already consumed, so the
# handshake that consumed it, which sends a random number of its own, gets the same reply again.
_CONSUME: Final = """
local value = redis.call('GETDEL', KEYS[1])
if value then
  redis.call('SET', KEYS[2], ARGV[1] .. value, 'EX', ARGV[2])
  return value
end
local taken = redis.call('GET', KEYS[2])
if taken and string.sub(taken, 1, #ARGV[1]) == ARGV[1] then
  return string.sub(taken, #ARGV[1] + 1)
end
return false
"""


class Claims(msgspec.Struct, frozen=True):
    """The user, the session (`revocation.session_hash`) and the language that a ticket was issued to; its purpose."""

    user_id: uuid.UUID
    session_hash: str
    purpose: str
    language: str = ""


def issue_ticket(user_id: uuid.UUID, session_key: str, purpose: str = FOR_PAGES) -> str:
    """A new ticket, 43 characters of base64url. Raises `redis.RedisError` when it cannot be stored."""
    return _store(Claims(user_id, session_hash(session_key), purpose, get_language() or ""))


def issue_token_ticket(user_id: uuid.UUID, hash_: str) -> str:
    """The same for a program with an API token, whose `hash_` (`api_tokens.token_hash`) stands for a session's."""
    return _store(Claims(user_id, hash_, FOR_PROGRAMS, get_language() or ""))


async def issue_resumable_ticket(user_id: uuid.UUID, hash_: str, language: str) -> str:
    """The same for the next socket of a page, whose session has this hash. Raises `redis.RedisError`."""
    ticket = secrets.token_urlsafe(32)
    claims = msgspec.msgpack.encode(Claims(user_id, hash_, TO_RESUME, language))
    await send_command("SET", f"ticket:{_name(ticket)}", claims, "EX", RESUMABLE_LIFETIME)
    return ticket


async def withdraw_ticket(ticket: str) -> None:
    """Makes a ticket that nobody needs any more invalid. Raises `redis.RedisError`."""
    await send_command("DEL", f"ticket:{_name(ticket)}")


def _store(claims: Claims) -> str:
    ticket = secrets.token_urlsafe(32)
    sync_redis().set(f"ticket:{_name(ticket)}", msgspec.msgpack.encode(claims), ex=LIFETIME)
    return ticket


async def consume_ticket(
    ticket: str, session_key: str, purposes: Collection[str] = (FOR_PAGES, TO_RESUME)
) -> Claims | None:
    """The claims of the ticket. None if it is unknown, used, expired, or for another session or purpose.

    The ticket is read and deleted in one step: of several simultaneous uses at most one succeeds, and a ticket that
    the wrong session sends is consumed too. Also None when the session or its user has been revoked.
    Raises `redis.RedisError`.
    """
    claims = await _take(ticket)
    if claims is None or claims.purpose not in purposes:
        return None
    if not secrets.compare_digest(claims.session_hash, session_hash(session_key)):
        return None
    return None if await was_revoked(claims.user_id, claims.session_hash) else claims


async def consume_token_ticket(ticket: str) -> Claims | None:
    """The same for a ticket of `issue_token_ticket`, bound to no cookie; None also if the token was revoked."""
    claims = await _take(ticket)
    if claims is None or claims.purpose != FOR_PROGRAMS:
        return None
    return None if await was_revoked(claims.user_id, claims.session_hash) else claims


async def _take(ticket: str) -> Claims | None:
    """Reads and deletes a ticket, whatever it is for."""
    if not _SHAPE.fullmatch(ticket):
        return None
    name = _name(ticket)
    keys = (f"ticket:{name}", f"taken:{name}")
    value = await send_command("EVAL", _CONSUME, len(keys), *keys, secrets.token_bytes(16), _REPLAY_SECONDS)
    if value is None:
        return None
    assert isinstance(value, bytes)  # the client does not decode
    return msgspec.msgpack.decode(value, type=Claims)


def _name(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()

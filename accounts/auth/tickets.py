"""Tickets: what a page shows at the WebSocket upgrade instead of a secret in a URL (docs/protocol.md §1).

256 random bits, used once, dead after 30 s. Redis holds the ticket's SHA-256 and what it is good for; the ticket
itself is held by the browser alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from typing import Any

import msgspec

from accounts.auth.revocation import session_hash, was_revoked
from accounts.lib.redis import async_redis, sync_redis

LIFETIME = 30  # seconds
_TAKEN = 10  # seconds that a handshake may ask again: longer than both of its tries take (accounts.lib.redis)
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes as base64url without padding

# A reply that is late or lost makes the client library ask once more, when the ticket is gone: whoever took it, known
# by a number of the handshake's own, is told again.
_TAKE = """
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
    """Whose ticket it is, which session asked for it (`revocation.session_hash`), and for what."""

    user_id: uuid.UUID
    session_hash: str
    purpose: str


def issue_ticket(user_id: uuid.UUID, session_key: str, purpose: str = "ws") -> str:
    """A new ticket, 43 characters of base64url. Raises `redis.RedisError` when it cannot be kept."""
    ticket = secrets.token_urlsafe(32)
    claims = Claims(user_id, session_hash(session_key), purpose)
    sync_redis().set(f"ticket:{_name(ticket)}", msgspec.msgpack.encode(claims), ex=LIFETIME)
    return ticket


async def consume_ticket(ticket: str, session_key: str, purpose: str = "ws") -> Claims | None:
    """What the ticket says, once; None when unknown, used, expired, or not for this session and purpose.

    Taken and deleted in one step: of any number of simultaneous uses one at the most succeeds, and a ticket shown
    by the wrong session is used up all the same. The call itself may be tried twice on the way (`accounts.lib.redis`).
    Also None when the session or its user was revoked meanwhile.
    Raises `redis.RedisError`.
    """
    if not _SHAPE.fullmatch(ticket):
        return None
    name = _name(ticket)
    asked: Any = async_redis().eval(_TAKE, 2, f"ticket:{name}", f"taken:{name}", secrets.token_bytes(16), _TAKEN)
    value = await asked
    if value is None:
        return None
    assert isinstance(value, bytes)  # the client does not decode
    claims = msgspec.msgpack.decode(value, type=Claims)
    if claims.purpose != purpose or not secrets.compare_digest(claims.session_hash, session_hash(session_key)):
        return None
    if await was_revoked(claims.user_id, claims.session_hash):
        return None
    return claims


def _name(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()

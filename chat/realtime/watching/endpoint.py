"""`GET /s/<token>/events`: the stream of a live share (docs/protocol.md §6). Answered before Django.

Whatever is wrong with a token gets the same 404. No cookie is set, and nothing is compressed.
"""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import structlog
from django.conf import settings
from django.http import parse_cookie

from accounts.auth.revocation import session_hash
from accounts.auth.sessions import live_sessions, still_valid
from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models import ShareAudience, ShareKind, ShareLink
from chat.protocol.errors import RateLimited, Unavailable
from chat.realtime import rate_limits
from chat.realtime.watching import audience
from chat.realtime.watching.checks import Reader
from chat.realtime.watching.follower import GoneError
from chat.realtime.watching.frames import parse_position, retry_frame
from chat.realtime.watching.registry import watching
from chat.realtime.watching.watcher import Stream, Watcher
from chat.shares.access import may_read
from chat.shares.links import find_share
from chat.shares.reading import look_of
from chat.telemetry import metrics

PATH: Final = re.compile(r"/s/([A-Za-z0-9_-]{1,100})/events")
RETRY_MS: Final = (1_000, 4_000)  # between which a client waits before it connects again
OPEN_SECONDS: Final = 10.0
PRIVATE: Final = [
    (b"cache-control", b"no-store, no-transform"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
    *PRIVATE,
]

logger = structlog.get_logger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class RefusedError(Exception):
    """The request is answered with this status. `retry_after`: seconds."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after


class Admitted(NamedTuple):
    """A working link, and who reads by it where it wants a log-in."""

    link: ShareLink
    reader: Reader | None


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application. `scope["stream"]` makes the response's `Stream` (`config.web.event_stream`)."""
    address = rate_limit.network_of((scope.get("client") or ("",))[0])
    since = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            admitted = await _admit(scope, address)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await send({"type": "http.response.body"})
            return
        await _watch(scope, receive, send, admitted, address, since)
    except RefusedError as refused:
        await _refuse(send, refused)
    except GoneError:
        await _refuse(send, RefusedError(404))
    except (*OUTAGE, Unavailable) as error:
        logger.warning("share_stream_refused", error=type(error).__name__)
        await _refuse(send, RefusedError(503, 5))


async def _admit(scope: Scope, address: str) -> Admitted:
    """Raises `RefusedError`."""
    if scope["method"] not in ("GET", "HEAD"):
        raise RefusedError(405)
    if watching().draining:
        raise RefusedError(503, 1)
    try:
        await rate_limits.acquire(rate_limit.required_limits((f"share-open:{address}", settings.RATE_SHARE_OPENS)))
    except RateLimited as error:
        raise RefusedError(429, error.retry_after) from error
    found = PATH.fullmatch(scope["path"])
    query = parse_qs(scope["query_string"].decode("ascii", "replace"))
    return await in_db(_find, found[1] if found else "", query.get("key", [""])[0], _session_key(scope))


def _find(token: str, key: str, session_key: str) -> Admitted:
    """Raises `RefusedError`: 404 for a token that does not work, 403 for a link that wants more than the token."""
    link = find_share(token)
    if link is None or link.kind != ShareKind.LIVE:
        raise RefusedError(404)
    reader = _reader(session_key) if link.audience == ShareAudience.USERS else None
    if not may_read(link, reader[0] if reader else None, key):
        raise RefusedError(403)
    return Admitted(link, reader)


def _reader(session_key: str) -> Reader | None:
    if not session_key:
        return None
    hash_ = session_hash(session_key)
    user_id: uuid.UUID | None = live_sessions().filter(hash=hash_).values_list("user_id", flat=True).first()
    return (user_id, hash_) if user_id is not None and still_valid(user_id, hash_) else None


def _session_key(scope: Scope) -> str:
    return parse_cookie(_header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME, "")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for header, value in scope["headers"] if header.lower() == name), "")


def _last(scope: Scope) -> str:
    """Where the client was: a header when it comes back, part of the address when its page has the text so far."""
    query = parse_qs(scope["query_string"].decode("ascii", "replace"))
    return _header(scope, b"last-event-id") or query.get("last", [""])[0]


async def _watch(scope: Scope, receive: Receive, send: Send, admitted: Admitted, address: str, since: float) -> None:
    """Streams until the client leaves, or the stream is ended."""
    link, reader = admitted
    async with watching().hub(link.conversation_id) as hub:
        watcher = Watcher(link.pk, look_of(link), link.expires_at, reader=reader)
        if not await audience.enter(watcher.id, link.pk, address):
            metrics.denials["watchers"] += 1
            raise RefusedError(429, 30)
        leaving = asyncio.create_task(_wait_for_end(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await send({"type": "http.response.body", "body": b"", "more_body": True})  # sends the headers
            stream: Stream = scope["stream"]()
            metrics.counted.watchers_opened += 1
            watcher.open(stream)
            watcher.write(retry_frame(random.randint(*RETRY_MS)))
            await hub.join(watcher, parse_position(_last(scope)), since)
            if watching().draining:  # since a moment ago
                watcher.end()
            await asyncio.wait([leaving, watcher.ended], return_when=asyncio.FIRST_COMPLETED)
            await send({"type": "http.response.body", "body": b""})
        except (*OUTAGE, Unavailable, GoneError) as error:  # the response has begun: the client connects again
            logger.warning("share_stream_aborted", error=type(error).__name__)
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            watcher.end()
            await audience.leave(watcher.id)  # first, so that the number that is published next is without it
            await hub.leave(watcher)


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, refused: RefusedError) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *PRIVATE]
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(refused.retry_after))).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{refused.status}\n".encode()})

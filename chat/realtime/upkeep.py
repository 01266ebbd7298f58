"""What open sockets need from time to time: a look whether their sessions and memberships are still there, in case the
message of an end was lost, and their presence renewed.

One task does it for all sockets of a web process, with one query for hundreds of them. Two sleeping tasks for each
socket would cost more memory than anything else of an idle one.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import time
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from accounts.auth.sessions import still_valid_of
from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from accounts.lib.per_loop import PerLoop
from chat.conversations.membership import memberships
from chat.protocol.close_codes import Close
from chat.realtime.presence import RENEW_SECONDS
from chat.realtime.subscriptions import Subscriptions

TICK_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 300.0
RECHECK_SECONDS: Final = 5.0  # if PostgreSQL was away
AT_ONCE: Final = 500  # sockets in one query

logger = structlog.get_logger(__name__)


class _Due:
    """When a socket is next looked at, and its presence next renewed, in seconds of the monotonic clock."""

    __slots__ = ("check", "presence")

    def __init__(self, now: float) -> None:
        self.check = now + CHECK_SECONDS
        self.presence = now + RENEW_SECONDS * random.uniform(0.5, 1)  # not all that came together at the same time


class _Found(NamedTuple):
    """Of sockets, by their place: which sessions are valid. And which users are members of which conversations."""

    valid: set[int]
    members: set[tuple[uuid.UUID, uuid.UUID]]


class Upkeep:
    """The upkeep of the sockets of one event loop."""

    def __init__(self) -> None:
        self._due: dict[Subscriptions, _Due] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, socket: Subscriptions) -> None:
        """The socket is open."""
        self._due[socket] = _Due(time.monotonic())
        if self._task is None or self._task.done():
            # An empty context: what the log and traces know of this socket is not true of the others.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    def remove(self, socket: Subscriptions) -> None:
        """The socket has closed."""
        self._due.pop(socket, None)

    def check_soon(self, socket: Subscriptions) -> None:
        """Something may have ended without a message: the socket is looked at as soon as PostgreSQL answers."""
        if (due := self._due.get(socket)) is not None:
            due.check = 0.0
            self._wake.set()

    async def _run(self) -> None:
        while self._due:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            self._wake.clear()
            now = time.monotonic()
            self._renew_presence(now)
            wanted = [socket for socket, due in self._due.items() if due.check <= now]
            for start in range(0, len(wanted), AT_ONCE):
                with lasting("session_check_failed"):
                    await self._check(wanted[start : start + AT_ONCE])

    def _renew_presence(self, now: float) -> None:
        for socket, due in self._due.items():
            if due.presence <= now:
                due.presence = now + RENEW_SECONDS
                if socket.presence.present:
                    socket.connection.spawn(socket.renew_presence())

    async def _check(self, sockets: Sequence[Subscriptions]) -> None:
        """Closes those whose sessions have ended; ends subscriptions to what their users have lost access to."""
        now = time.monotonic()
        for socket in sockets:
            if (due := self._due.get(socket)) is not None:
                due.check = now + CHECK_SECONDS
        asked = [(socket.user_id, socket.connection.session_hash) for socket in sockets]
        followed = [[uuid.UUID(bytes=one) for one in socket.connection.cursors] for socket in sockets]
        pairs = [(user_id, one) for (user_id, _), ids in zip(asked, followed, strict=True) for one in ids]
        try:
            found = await in_db(_look, asked, pairs)
        except OUTAGE as error:
            logger.warning("session_check_failed", sockets=len(sockets), error=type(error).__name__)
            for socket in sockets:
                if (due := self._due.get(socket)) is not None:
                    due.check = min(due.check, now + RECHECK_SECONDS)
            return
        for place, (socket, ids) in enumerate(zip(sockets, followed, strict=True)):
            if socket not in self._due:
                continue
            if place not in found.valid:
                socket.connection.close(Close.SESSION_ENDED)
            for one in ids:
                if (socket.user_id, one) not in found.members:
                    socket.remove_access(one.bytes)


def _look(asked: Sequence[tuple[uuid.UUID, str]], pairs: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> _Found:
    return _Found(still_valid_of(asked), memberships(pairs))


upkeep: Final = PerLoop(Upkeep)

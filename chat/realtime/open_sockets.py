"""The open sockets of this web process: their pings and timeouts, and how they are closed at a deploy.

One task ticks once a second for all of them; a timer for each would cost memory.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final

import structlog

from accounts import online
from accounts.lib.db import in_db
from accounts.lib.lasting import lasting
from chat.protocol.close_codes import Close
from chat.protocol.frames import encode
from chat.realtime.site_banner import EVERY_SECONDS, current_banner
from chat.recovery import reaper
from chat.telemetry import metrics

if TYPE_CHECKING:
    from chat.realtime.connection import Connection

TICK_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


class OpenSockets:
    """All connections of one event loop."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.draining = False
        self.process = f"{gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._ticker: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._publisher: asyncio.Task[None] | None = None
        self._announcer: asyncio.Task[None] | None = None

    def add(self, connection: Connection) -> None:
        self.connections.add(connection)
        metrics.counted.opened += 1
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())
        if self._publisher is None or self._publisher.done():
            self._publisher = asyncio.create_task(self._publish_online())
        if self._announcer is None or self._announcer.done():
            self._announcer = asyncio.create_task(self._announce_banner())
        self.begin_recovery()

    def begin_recovery(self) -> None:
        """Has this process look for lost runs from now on, as long as it lives."""
        if self._recovery is None:
            self._recovery = asyncio.create_task(reaper.run())

    def remove(self, connection: Connection) -> None:
        self.connections.discard(connection)

    async def _tick(self) -> None:
        while self.connections:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for connection in list(self.connections):
                with lasting("tick_failed", connection=connection.connection_id):
                    connection.tick(now)

    async def _publish_online(self) -> None:
        """Publishes which users are connected while there are any, and once more when there are none."""
        published = -1
        while self.connections or published:
            users = {connection.user_id for connection in self.connections}
            published = len(self.connections)
            with lasting("presence_not_published"):
                await online.publish_presence(self.process, published, users)
            if published:
                await asyncio.sleep(online.EVERY_SECONDS)

    async def _announce_banner(self) -> None:
        """Tells every socket when the announcement above the pages has changed, while there are any."""
        known: dict[str, Any] | None = None
        is_known = False
        while self.connections:
            with lasting("banner_not_read"):
                found = await in_db(current_banner)
                if is_known and found != known:
                    frame = encode({"type": "site.banner", "banner": found})
                    for connection in list(self.connections):
                        connection.put(frame)
                known, is_known = found, True
            await asyncio.sleep(EVERY_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Closes every connection with code 4000, evenly spread over `seconds`. New ones are closed at once.

        Returns when all are closed, or 2 s after the last close frame.
        """
        self.draining = True
        waiting = list(self.connections)
        random.shuffle(waiting)
        logger.info("drain_started", sockets=len(waiting), seconds=seconds)
        began = time.monotonic()
        for index, connection in enumerate(waiting):
            due = began + seconds * index / len(waiting)
            if (delay := due - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            connection.close(Close.GOING_AWAY)
        deadline = time.monotonic() + 2
        while self.connections and time.monotonic() < deadline:
            for connection in list(self.connections):
                connection.close(Close.GOING_AWAY)
            await asyncio.sleep(0.05)


_by_loop: dict[asyncio.AbstractEventLoop, OpenSockets] = {}


def open_sockets() -> OpenSockets:
    """The open sockets of the running loop."""
    loop = asyncio.get_running_loop()
    found = _by_loop.get(loop)
    if found is None:
        for closed in [known for known in _by_loop if known.is_closed()]:
            del _by_loop[closed]
        found = _by_loop[loop] = OpenSockets()
    return found


async def drain(seconds: float) -> None:
    """Closes this process's sockets (`OpenSockets.drain`)."""
    await open_sockets().drain(seconds)


def _connections() -> list[Connection]:
    return [connection for known in list(_by_loop.values()) for connection in list(known.connections)]


metrics.gauges["sockets"] = lambda: len(_connections())
metrics.gauges["subscriptions"] = lambda: sum(len(one.cursors) for one in _connections())
metrics.gauges["unacked_bytes"] = lambda: sum(one.window.unacked for one in _connections())
metrics.gauges["blocked_sockets"] = lambda: sum(one.window.full for one in _connections())

"""The sockets of this web process: their heartbeats, their limits in time, and how they leave at a deploy.

One clock for all: a tick a second walks over the sockets. A timer each would cost memory, and pings that start at
random moments stay spread out without one.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from socket import gethostname
from typing import TYPE_CHECKING, Final

import redis
import structlog

from accounts import online
from chat.protocol.close_codes import Close
from chat.recovery import reaper
from chat.telemetry import metrics

if TYPE_CHECKING:
    from chat.realtime.connection import Socket

TICK_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


class Hub:
    """All sockets of one event loop."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.draining = False
        self.process = f"{gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._ticker: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._beater: asyncio.Task[None] | None = None

    def add(self, socket: Socket) -> None:
        self.sockets.add(socket)
        metrics.counted.opened += 1
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())
        if self._beater is None or self._beater.done():
            self._beater = asyncio.create_task(self._beat())
        if self._keeper is None:
            self._keeper = asyncio.create_task(reaper.keep())

    def remove(self, socket: Socket) -> None:
        self.sockets.discard(socket)

    async def _tick(self) -> None:
        while self.sockets:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for socket in list(self.sockets):
                try:
                    socket.tick(now)
                except Exception:
                    logger.exception("tick_failed", connection=socket.connection_id)

    async def _beat(self) -> None:
        """Says who is here while there is somebody, and once more when there is nobody."""
        said = -1
        while self.sockets or said:
            people = {socket.user_id for socket in self.sockets}
            said = len(self.sockets)
            try:
                await online.publish_presence(self.process, said, people)
            except (redis.RedisError, OSError, TimeoutError) as error:
                logger.warning("presence_not_published", error=type(error).__name__)
            if said:
                await asyncio.sleep(online.EVERY_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Closes every socket with 4000, evenly spread over `seconds`; sockets that still come are closed at once.

        Returns when all are gone, or 2 s after the last one was told.
        """
        self.draining = True
        waiting = list(self.sockets)
        random.shuffle(waiting)
        logger.info("draining", sockets=len(waiting), seconds=seconds)
        began = time.monotonic()
        for place, socket in enumerate(waiting):
            due = began + seconds * place / len(waiting)
            if (delay := due - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            socket.close(Close.GOING_AWAY)
        deadline = time.monotonic() + 2
        while self.sockets and time.monotonic() < deadline:
            for socket in list(self.sockets):
                socket.close(Close.GOING_AWAY)
            await asyncio.sleep(0.05)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        for gone in [known for known in _hubs if known.is_closed()]:
            del _hubs[gone]
        found = _hubs[loop] = Hub()
    return found


async def drain(seconds: float) -> None:
    await hub().drain(seconds)


def _open_sockets() -> list[Socket]:
    return [socket for known in list(_hubs.values()) for socket in list(known.sockets)]


metrics.gauges["sockets"] = lambda: len(_open_sockets())
metrics.gauges["subscriptions"] = lambda: sum(len(socket.cursors) for socket in _open_sockets())
metrics.gauges["unacked_bytes"] = lambda: sum(socket.window.unacked for socket in _open_sockets())
metrics.gauges["blocked_sockets"] = lambda: sum(socket.window.full for socket in _open_sockets())

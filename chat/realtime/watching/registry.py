"""The live shares that this web process serves: their hubs, their clock, and how streams are ended at a deploy.

One task ticks for all streams; a timer for each would cost memory.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from channels.exceptions import ChannelFull
from django.utils import timezone

from accounts.lib.lasting import lasting
from accounts.lib.outage import OUTAGE
from chat.realtime.open_sockets import open_sockets
from chat.realtime.watching import audience
from chat.realtime.watching.hub import LINK_ENDED, Hub
from chat.telemetry import metrics

TICK_SECONDS: Final = 0.5
PUBLISH_SECONDS: Final = 2.0
RECHECK_SECONDS: Final = 30.0  # links and log-ins, in case the message of an end was lost

logger = structlog.get_logger(__name__)


class Watching:
    """All hubs of one event loop."""

    def __init__(self) -> None:
        self.hubs: dict[uuid.UUID, Hub] = {}
        self.draining = False
        self._ticker: asyncio.Task[None] | None = None
        self._changed: dict[uuid.UUID, set[uuid.UUID]] = {}  # links, by conversations whose audience has changed
        self._published: dict[uuid.UUID, float] = {}  # the loop's time, by conversation
        self._publishing: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        return sum(len(hub.everybody()) for hub in self.hubs.values())

    @asynccontextmanager
    async def hub(self, conversation_id: uuid.UUID) -> AsyncIterator[Hub]:
        """The hub of a conversation, kept while it is in use. Raises as `Hub.start` does."""
        hub = self.hubs.get(conversation_id)
        if hub is None:
            hub = self.hubs[conversation_id] = Hub(conversation_id, self._on_size)
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())
        open_sockets().begin_recovery()
        hub.users += 1
        try:
            await hub.start()
            yield hub
        finally:
            hub.users -= 1
            if not hub.users and self.hubs.get(conversation_id) is hub:
                del self.hubs[conversation_id]
                await hub.stop()

    def _on_size(self, hub: Hub) -> None:
        self._changed.setdefault(hub.conversation_id, set()).update(hub.links)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while self.hubs or self._changed:
            await asyncio.sleep(TICK_SECONDS)
            for hub in list(self.hubs.values()):
                with lasting("share_streams_tick_failed", conversation=str(hub.conversation_id)):
                    self._tick_hub(hub, loop.time())
            if self._changed and (self._publishing is None or self._publishing.done()):
                self._publishing = asyncio.create_task(self._publish_audiences(loop.time()))

    def _tick_hub(self, hub: Hub, now: float) -> None:
        clock = timezone.now()
        for watcher in hub.everybody():
            if watcher.expires_at <= clock:
                watcher.end(LINK_ENDED)
            elif watcher.tick(now):
                hub.spawn(hub.resume(watcher))
        if now - hub.checked_at >= RECHECK_SECONDS:
            hub.spawn(hub.check())
        if now - self._published.get(hub.conversation_id, now) >= audience.EVERY_SECONDS:
            self._on_size(hub)

    async def _publish_audiences(self, now: float) -> None:
        """Tells members how many watch, where that has changed. If Redis is away, they learn it later."""
        changed, self._changed = self._changed, {}
        for conversation_id, links in changed.items():
            self._published[conversation_id] = now
            if conversation_id not in self.hubs:
                del self._published[conversation_id]
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await audience.publish(conversation_id, links)
            except (*OUTAGE, ChannelFull) as error:
                logger.warning("audience_not_published", error=type(error).__name__)

    async def drain(self, seconds: float) -> None:
        """Ends every stream, evenly spread over `seconds`, without an event: clients connect again and resume."""
        self.draining = True
        waiting = [watcher for hub in self.hubs.values() for watcher in hub.everybody()]
        random.shuffle(waiting)
        began = time.monotonic()
        for index, watcher in enumerate(waiting):
            if (delay := began + seconds * index / len(waiting) - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            watcher.end()
        for hub in self.hubs.values():
            for watcher in hub.everybody():
                watcher.end()


_by_loop: dict[asyncio.AbstractEventLoop, Watching] = {}


def watching() -> Watching:
    """What the running loop serves."""
    loop = asyncio.get_running_loop()
    found = _by_loop.get(loop)
    if found is None:
        for closed in [known for known in _by_loop if known.is_closed()]:
            del _by_loop[closed]
        found = _by_loop[loop] = Watching()
    return found


async def drain(seconds: float) -> None:
    """Ends this process's streams (`Watching.drain`)."""
    await watching().drain(seconds)


metrics.gauges["watchers"] = lambda: sum(known.size for known in list(_by_loop.values()))

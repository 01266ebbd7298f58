"""Tells sockets later to check what they may still read, where the message that ends it could not be sent.

A removal or the end of a session is announced within seconds or not at all, because somebody waits for it. What could
not be sent is tried again here, by a thread, until the sockets check by themselves. It asks them to check instead of
repeating the message: who was removed may be a member again by then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Final

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer

SEND_SECONDS: Final = 2.0  # for one group
GIVE_UP_SECONDS: Final = 330.0  # sockets check every 300 s by themselves (chat.realtime.upkeep)
FIRST_SECONDS, MOST_SECONDS = 0.5, 10.0  # between tries; each pause is twice as long as the one before

logger = structlog.get_logger(__name__)


class _Later:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[str, float] = {}  # by group
        self._thread: threading.Thread | None = None

    def add(self, groups: Iterable[str]) -> None:
        with self._lock:
            self._deadlines.update(dict.fromkeys(groups, time.monotonic() + GIVE_UP_SECONDS))
            if self._thread is None and self._deadlines:
                # A daemon: a command ends when it is done. Sockets check by themselves then.
                self._thread = threading.Thread(target=self._run, name="later-checks", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = FIRST_SECONDS
        while True:
            time.sleep(pause)
            pause = min(2 * pause, MOST_SECONDS)
            with self._lock:
                now = time.monotonic()
                late = [group for group, deadline in self._deadlines.items() if deadline < now]
                for group in late:
                    del self._deadlines[group]
                if not self._deadlines:
                    self._thread = None
                groups = list(self._deadlines)
            if late:
                logger.warning("access_checks_given_up", groups=late)
            if not groups:
                return
            if sent := self._send(groups):
                logger.info("access_checks_sent_late", groups=sent)
                with self._lock:
                    for group in sent:
                        self._deadlines.pop(group, None)

    def _send(self, groups: list[str]) -> list[str]:
        """Those that were told."""
        sent: list[str] = []
        try:
            async_to_sync(_tell)(groups, sent)
        except (redis.RedisError, OSError, TimeoutError, ChannelFull):
            pass  # its first failure was logged, and the last one will be
        except Exception:
            logger.exception("access_checks_failed")
        return sent


async def _tell(groups: list[str], sent: list[str]) -> None:
    layer = get_channel_layer()
    for group in groups:
        async with asyncio.timeout(SEND_SECONDS):
            await layer.group_send(group, {"type": "access.check"})
        sent.append(group)


_later = _Later()


def check_later(groups: Iterable[str]) -> None:
    """The sockets of these channel-layer groups check their session and memberships as soon as they can be told.

    Returns at once.
    """
    _later.add(groups)

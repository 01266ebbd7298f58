"""One who watches a live share: an HTTP response that goes on, with a bound on what waits for a slow reader.

A reader that does not keep up gets nothing more, and nothing is queued, until it has read what waits; then it gets what
it missed from the log, in few large events. One that reads nothing for `SLOW_SECONDS` is cut.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import uuid
from datetime import datetime
from typing import Final, Protocol

from django.conf import settings

from chat.protocol.commands import Position
from chat.realtime.watching.frames import HEARTBEAT, Frame
from chat.shares.shaping import Look
from chat.telemetry import metrics

HEARTBEAT_SECONDS: Final = 15.0
MOST_WAITING: Final = 256 * 1024  # bytes in this process; the kernel's buffers come on top


class Stream(Protocol):
    """The body of an HTTP response whose headers are sent. `config.web.event_stream` has the server's."""

    chunked: bool

    def write(self, data: bytes) -> None: ...
    def waiting(self) -> int:
        """Bytes that the kernel has not accepted yet."""
        ...

    def abort(self) -> None: ...


class Watcher:
    """`link_id`: the share link that it reads by. `reader`: user and session, where the link wants a log-in."""

    __slots__ = (
        "behind_since", "ended", "expires_at", "id", "least_waiting", "link_id", "look", "next_beat", "position",
        "reader", "stream",
    )  # fmt: skip

    stream: Stream  # once the response has begun

    def __init__(
        self, link_id: uuid.UUID, look: Look, expires_at: datetime, *, reader: tuple[uuid.UUID, str] | None = None
    ) -> None:
        self.id = secrets.token_hex(8)
        self.link_id = link_id
        self.look = look
        self.expires_at = expires_at
        self.reader = reader
        self.position = Position("", 0)  # up to which it has been sent everything
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.behind_since: float | None = None
        self.least_waiting = 0
        # At a random moment first, so that streams opened together do not get their comments together.
        self.next_beat = asyncio.get_running_loop().time() + HEARTBEAT_SECONDS * random.uniform(0.2, 1)

    def open(self, stream: Stream) -> None:
        """The headers of the response are sent."""
        self.stream = stream

    def put(self, frame: Frame, at: Position) -> None:
        """Sends an event, unless the reader has it, or does not keep up."""
        if self.behind_since is not None or (at.epoch == self.position.epoch and at.seq <= self.position.seq):
            return
        if self.stream.waiting() > MOST_WAITING:
            self.behind_since = asyncio.get_running_loop().time()
            self.least_waiting = self.stream.waiting()
            return
        self.write(frame)
        self.position = at

    def write(self, frame: Frame) -> None:
        """Sends bytes that are no event of the log, or are known to continue what was sent."""
        metrics.counted.watch_frames += 1
        self.stream.write(frame.chunk if self.stream.chunked else frame.plain)

    def end(self, frame: Frame | None = None) -> None:
        """Ends the response, after one last event if there is one; only the first call counts. A reader that does not
        keep up is cut: what waits for it is not sent any more.
        """
        if self.ended.done():
            return
        self.ended.set_result(None)
        if self.behind_since is not None:
            self.stream.abort()
        elif frame is not None:
            self.write(frame)

    def tick(self, now: float) -> bool:
        """Sends a comment, or cuts, as the time requires. True if it was behind and has read what waited for it."""
        if self.behind_since is None:
            if now >= self.next_beat:
                self.next_beat = now + HEARTBEAT_SECONDS
                self.write(HEARTBEAT)
            return False
        waiting = self.stream.waiting()
        if waiting < self.least_waiting:
            self.behind_since, self.least_waiting = now, waiting
        elif waiting and now - self.behind_since >= settings.SOCKET_SLOW_SECONDS:
            metrics.counted.watchers_cut += 1
            self.end()
        return waiting < MOST_WAITING // 4 and not self.ended.done()

"""A channel of this process, with a bounded queue or a sink, and a group of such channels."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
Sink = Callable[[Message], None]


class Membership:
    """A channel in a group. Until Redis confirmed it, it exists only while a `group_add` waits."""

    __slots__ = ("confirmed", "waiting")

    def __init__(self) -> None:
        self.confirmed = False
        self.waiting = 0


class Channel:
    """A channel and its queue of payloads from Redis; each receiver decodes its own copy.

    A full queue drops its oldest payload: the reader notices the gap with the next message it reads, and the newest
    state is kept.
    """

    __slots__ = ("address", "capacity", "groups", "name", "queue", "reset_due", "sink", "waiters", "warned")

    def __init__(self, name: str, address: bytes, capacity: int) -> None:
        self.name = name
        self.address = address  # the Redis channel for `send`
        self.capacity = capacity
        self.sink: Sink | None = None
        self.groups: dict[bytes, Membership] = {}
        # Created when first used: a channel with a sink needs neither.
        self.queue: deque[bytes] | None = None
        self.waiters: deque[asyncio.Future[None]] | None = None
        self.reset_due = False  # not in the queue, where it could be dropped
        self.warned = False

    def put(self, payload: bytes) -> int:
        """Queues a payload; returns how many were dropped to make room, 0 or 1."""
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        dropped = 0
        if len(queue) >= self.capacity:
            queue.popleft()
            dropped = 1
        queue.append(payload)
        self.wake()
        return dropped

    def wake(self) -> None:
        """Wakes one receiver."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self, error: Exception) -> None:
        """Raises `error` in all receivers: the channel no longer exists."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    async def wait(self) -> None:
        """Returns when there may be a message to receive."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.waiters is None:
            self.waiters = deque()
        self.waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter in self.waiters:
                self.waiters.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.wake()  # this receiver had been woken: wake the next one instead
            raise

    @property
    def full(self) -> bool:
        return self.queue is not None and len(self.queue) >= self.capacity


class Group:
    """The local members of a group."""

    __slots__ = ("_members", "channels")

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self._members: tuple[Channel, ...] | None = None

    def add(self, channel: Channel) -> None:
        self.channels[channel.name] = channel
        self._members = None

    def discard(self, channel: Channel) -> None:
        self.channels.pop(channel.name, None)
        self._members = None

    @property
    def members(self) -> tuple[Channel, ...]:
        """A copy, made once per change: a sink may join or leave while a message is delivered."""
        if self._members is None:
            self._members = tuple(self.channels.values())
        return self._members

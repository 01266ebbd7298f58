"""The subscriptions at one Redis server: which are needed, requested and acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from .reconnect import ManagedConnection
from .resp import pack
from .stats import LayerStats

logger = logging.getLogger(__name__)

NAMES_PER_COMMAND = 500

Deliver = Callable[[bytes, bytes], None]


class Subscription:
    """A Redis channel. `ready` is done once Redis acknowledged the newest SUBSCRIBE for it."""

    __slots__ = ("address", "ready", "recovering", "references", "requested")

    def __init__(self, address: bytes, ready: asyncio.Future[None]) -> None:
        self.address = address
        self.references = 0
        self.requested = False  # the last command for it on this connection was SUBSCRIBE
        self.ready = ready
        self.recovering = False


class Subscriber(ManagedConnection):
    """Keeps Redis subscribed to exactly the Redis channels that have references.

    Changes in one iteration of the loop lead to at most one command per channel. Redis acknowledges commands in order,
    so a queue shows which command an acknowledgement belongs to: after join, leave, join, the acknowledgement of the
    first join does not complete the second.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        stats: LayerStats,
        *,
        timeout: float,
        ping_interval: float,
        deliver: Deliver,
        on_lost: Callable[[], None],
        on_recovered: Callable[[], None],
    ) -> None:
        super().__init__(pool, timeout=timeout, ping_interval=ping_interval)
        self._stats = stats
        self._deliver = deliver
        self._on_lost = on_lost
        self._on_recovered = on_recovered
        self._subscriptions: dict[bytes, Subscription] = {}
        self._changed: dict[bytes, Subscription] = {}
        # In the order of the commands: subscription, the future its acknowledgement completes, the command's number.
        self._acks: deque[tuple[Subscription, asyncio.Future[None] | None, int]] = deque()
        self._commands = 0
        self._scheduled = False
        self._to_recover = 0  # channels not yet acknowledged after a loss
        self._was_lost = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, address: bytes) -> None:
        """Adds a reference to the Redis channel."""
        subscription = self._subscriptions.get(address)
        if subscription is None:
            subscription = self._subscriptions[address] = Subscription(address, self._loop.create_future())
        subscription.references += 1
        if subscription.references == 1:
            self._change(subscription)

    def unsubscribe(self, address: bytes) -> None:
        """Removes a reference; removing the last one ends the subscription."""
        subscription = self._subscriptions[address]
        subscription.references -= 1
        if subscription.references == 0:
            self._change(subscription)

    async def wait_until_subscribed(self, address: bytes) -> None:
        """Returns once Redis acknowledged the subscription, or if there is none any more.

        Raises redis-py's errors; its TimeoutError after `timeout` seconds.
        """
        subscription = self._subscriptions.get(address)
        if subscription is None:
            return
        ready = subscription.ready
        if not ready.done():
            await asyncio.wait([ready], timeout=self.timeout)
        if not ready.done():
            raise RedisTimeoutError(
                f"Redis did not acknowledge a subscription in {self.timeout:g} s."
            ) from self.last_error
        ready.result()

    async def stop(self) -> None:
        """Removes all subscriptions, then closes the connection."""
        self._acks.clear()
        self._fail(RedisConnectionError("The channel layer was closed."))
        self._subscriptions.clear()
        self._changed.clear()
        await super().stop()
        self._to_recover = 0
        self._was_lost = False
        for subscription in self._subscriptions.values():
            # Added while the old connection was closing: it may have been requested there.
            subscription.requested = False
            self._change(subscription)

    def _change(self, subscription: Subscription) -> None:
        self._changed[subscription.address] = subscription
        if not self._scheduled and not self._loop.is_closed():
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Sends commands for the difference between what is needed and what was requested."""
        self._scheduled = False
        changed = list(self._changed.values())
        self._changed.clear()
        if self._connection is None:
            for subscription in changed:
                self._remove_unused(subscription)
            if self._subscriptions:
                self.connect()
            return
        self._request("UNSUBSCRIBE", [s for s in changed if not s.references and s.requested])
        self._request("SUBSCRIBE", [s for s in changed if s.references and not s.requested])
        for subscription in changed:
            self._remove_unused(subscription)

    def _request(self, command: str, subscriptions: list[Subscription]) -> None:
        assert self._connection is not None
        subscribing = command == "SUBSCRIBE"
        rest = iter(subscriptions)
        while names := list(islice(rest, NAMES_PER_COMMAND)):
            self._commands += 1
            self._connection.write(pack(command, *(subscription.address for subscription in names)))
            for subscription in names:
                subscription.requested = subscribing
                self._acks.append((subscription, subscription.ready if subscribing else None, self._commands))

    def _remove_unused(self, subscription: Subscription) -> None:
        """The next join makes a new subscription, and so does not wait for the acknowledgements of this one."""
        if not subscription.references and not subscription.requested:
            if self._subscriptions.get(subscription.address) is subscription:
                del self._subscriptions[subscription.address]
            if not subscription.ready.done():
                # Callers that still wait have left the group meanwhile.
                subscription.ready.set_result(None)

    def _fail(self, error: Exception) -> None:
        for subscription in self._subscriptions.values():
            self._fail_one(subscription, subscription.ready, error)

    def _fail_one(self, subscription: Subscription, ready: asyncio.Future[None], error: Exception) -> None:
        if not ready.done():
            ready.set_exception(error)
            ready.exception()  # marks it as retrieved: there may be no waiter
        if subscription.ready is ready:
            subscription.ready = self._loop.create_future()

    # --- ManagedConnection ---

    def _needed(self) -> bool:
        return bool(self._subscriptions)

    def _opened(self) -> None:
        needed = [subscription for subscription in self._subscriptions.values() if subscription.references]
        if self._was_lost:
            self._to_recover = len(needed)
            for subscription in needed:
                subscription.recovering = True
        self._request("SUBSCRIBE", needed)
        if self._was_lost and not needed:
            self._recovered()

    def _received(self, reply: Any) -> None:
        if isinstance(reply, list):
            kind = reply[0]
            if kind == b"message":
                self._stats.received += 1
                self._deliver(reply[1], reply[2])
            elif kind == b"subscribe" or kind == b"unsubscribe":
                self._confirm(reply[1], subscribed=kind == b"subscribe")
        elif isinstance(reply, Exception):
            self._reject(reply)

    def _confirm(self, address: bytes, *, subscribed: bool) -> None:
        if not self._acks or self._acks[0][0].address != address or (self._acks[0][1] is not None) != subscribed:
            raise InvalidResponse("Redis acknowledged a subscription that was not requested")
        subscription, ready, _ = self._acks.popleft()
        if ready is None:
            return
        if not ready.done():
            ready.set_result(None)
        if subscription.recovering:
            self._recovered_one(subscription)

    def _reject(self, error: Exception) -> None:
        """An error reply is for a whole command: none of its channels is subscribed. An ACL may cause it."""
        if not self._acks:
            logger.warning("Redis answered the subscriber with an error: %s", error)
            return
        number = self._acks[0][2]
        while self._acks and self._acks[0][2] == number:
            subscription, ready, _ = self._acks.popleft()
            if ready is not None:
                subscription.requested = False
                self._fail_one(subscription, ready, error)
            if subscription.recovering:
                self._recovered_one(subscription)

    def _recovered_one(self, subscription: Subscription) -> None:
        subscription.recovering = False
        self._to_recover -= 1
        if self._to_recover == 0:
            self._recovered()

    def _recovered(self) -> None:
        self._was_lost = False
        self._stats.reconnects += 1
        self._on_recovered()

    def _lost(self, error: Exception) -> None:
        self._acks.clear()
        self._to_recover = 0
        for subscription in self._subscriptions.values():
            subscription.requested = subscription.recovering = False
            if subscription.ready.done():
                subscription.ready = self._loop.create_future()
        self._was_lost = True
        self._on_lost()

    def _refused(self, error: Exception) -> None:
        self._fail(error)

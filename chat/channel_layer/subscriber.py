"""The subscriptions at one Redis: what is wanted, what was asked for, what was acknowledged."""

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

from .reconnect import Link
from .resp import pack
from .stats import LayerStats

logger = logging.getLogger(__name__)

NAMES_PER_COMMAND = 500

Deliver = Callable[[bytes, bytes], None]


class Subscription:
    """One name. `ready` is done once Redis acknowledged the newest SUBSCRIBE for it."""

    __slots__ = ("address", "asked", "owners", "ready", "recovering")

    def __init__(self, address: bytes, ready: asyncio.Future[None]) -> None:
        self.address = address
        self.owners = 0
        self.asked = False  # the last command about it on this connection was SUBSCRIBE
        self.ready = ready
        self.recovering = False


class Subscriber(Link):
    """Keeps Redis subscribed to exactly the wanted names.

    Wishes of one turn of the loop become at most one command per name. Redis acknowledges names in the order in which
    they were asked for, so that a queue tells which command an acknowledgement belongs to: the first one of
    join, leave, join does not make the last one return.
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
        # In the order of asking: the subscription, what its acknowledgement resolves, the command's number.
        self._acks: deque[tuple[Subscription, asyncio.Future[None] | None, int]] = deque()
        self._commands = 0
        self._scheduled = False
        self._to_recover = 0  # names that are still to be acknowledged after a loss
        self._was_lost = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    def want(self, address: bytes) -> None:
        """Adds an owner of the name."""
        subscription = self._subscriptions.get(address)
        if subscription is None:
            subscription = self._subscriptions[address] = Subscription(address, self._loop.create_future())
        subscription.owners += 1
        if subscription.owners == 1:
            self._change(subscription)

    def unwant(self, address: bytes) -> None:
        """Takes an owner away; the last one ends the subscription."""
        subscription = self._subscriptions[address]
        subscription.owners -= 1
        if subscription.owners == 0:
            self._change(subscription)

    async def acknowledged(self, address: bytes) -> None:
        """Returns once Redis confirmed the wanted name. Raises redis-py's errors, TimeoutError of it after a while."""
        ready = self._subscriptions[address].ready
        if not ready.done():
            await asyncio.wait([ready], timeout=self.timeout)
        if not ready.done():
            raise RedisTimeoutError(f"Redis did not confirm a subscription in {self.timeout:g} s.") from self.last_error
        ready.result()

    async def stop(self) -> None:
        """Forgets all subscriptions, then closes the connection."""
        self._acks.clear()
        self._fail(RedisConnectionError("The channel layer was closed."))
        self._subscriptions.clear()
        self._changed.clear()
        await super().stop()
        self._to_recover = 0
        self._was_lost = False
        for subscription in self._subscriptions.values():
            # Wanted while the old connection closed: it may have been asked for there.
            subscription.asked = False
            self._change(subscription)

    def _change(self, subscription: Subscription) -> None:
        self._changed[subscription.address] = subscription
        if not self._scheduled and not self._loop.is_closed():
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Asks for the difference between what is wanted and what was asked for last."""
        self._scheduled = False
        changed = list(self._changed.values())
        self._changed.clear()
        if self._wire is None:
            for subscription in changed:
                self._forget_unwanted(subscription)
            if self._subscriptions:
                self.ensure()
            return
        self._ask("UNSUBSCRIBE", [s for s in changed if not s.owners and s.asked])
        self._ask("SUBSCRIBE", [s for s in changed if s.owners and not s.asked])
        for subscription in changed:
            self._forget_unwanted(subscription)

    def _ask(self, command: str, subscriptions: list[Subscription]) -> None:
        assert self._wire is not None
        wanted = command == "SUBSCRIBE"
        rest = iter(subscriptions)
        while names := list(islice(rest, NAMES_PER_COMMAND)):
            self._commands += 1
            self._wire.write(pack(command, *(subscription.address for subscription in names)))
            for subscription in names:
                subscription.asked = wanted
                self._acks.append((subscription, subscription.ready if wanted else None, self._commands))

    def _forget_unwanted(self, subscription: Subscription) -> None:
        """Whoever joins next makes another one, and so does not wait for the acknowledgements still under way."""
        if not subscription.owners and not subscription.asked:
            if self._subscriptions.get(subscription.address) is subscription:
                del self._subscriptions[subscription.address]
            if not subscription.ready.done():
                # Whoever still waits left the group meanwhile: there is nothing more to wait for.
                subscription.ready.set_result(None)

    def _fail(self, error: Exception) -> None:
        for subscription in self._subscriptions.values():
            self._fail_one(subscription, subscription.ready, error)

    def _fail_one(self, subscription: Subscription, ready: asyncio.Future[None], error: Exception) -> None:
        if not ready.done():
            ready.set_exception(error)
            ready.exception()  # seen: it may be that nobody waits
        if subscription.ready is ready:
            subscription.ready = self._loop.create_future()

    # --- Link ---

    def _needed(self) -> bool:
        return bool(self._subscriptions)

    def _opened(self) -> None:
        wanted = [subscription for subscription in self._subscriptions.values() if subscription.owners]
        if self._was_lost:
            self._to_recover = len(wanted)
            for subscription in wanted:
                subscription.recovering = True
        self._ask("SUBSCRIBE", wanted)
        if self._was_lost and not wanted:
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
            self._deny(reply)

    def _confirm(self, address: bytes, *, subscribed: bool) -> None:
        if not self._acks or self._acks[0][0].address != address or (self._acks[0][1] is not None) != subscribed:
            raise InvalidResponse("Redis acknowledged a subscription that was not asked for")
        subscription, ready, _ = self._acks.popleft()
        if ready is None:
            return
        if not ready.done():
            ready.set_result(None)
        if subscription.recovering:
            self._recovered_one(subscription)

    def _deny(self, error: Exception) -> None:
        """An error answers a whole command: none of its names is subscribed (an ACL without the channel)."""
        if not self._acks:
            logger.warning("Redis answered the subscriber with an error: %s", error)
            return
        number = self._acks[0][2]
        while self._acks and self._acks[0][2] == number:
            subscription, ready, _ = self._acks.popleft()
            if ready is not None:
                subscription.asked = False
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
            subscription.asked = subscription.recovering = False
            if subscription.ready.done():
                subscription.ready = self._loop.create_future()
        self._was_lost = True
        self._on_lost()

    def _refused(self, error: Exception) -> None:
        self._fail(error)

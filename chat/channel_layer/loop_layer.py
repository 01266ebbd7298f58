"""The channel layer of one event loop: its channels, its groups, its connections."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import redis.asyncio
from channels.exceptions import ChannelFull
from channels_redis.utils import _consistent_hash
from redis.exceptions import ConnectionError as RedisConnectionError

from .addresses import channel_address, group_address
from .callbacks import Callbacks
from .channel import Channel, Group, Membership, Message, Sink
from .options import LayerOptions
from .resp import pack
from .shard import Shard
from .stats import LayerStats

logger = logging.getLogger(__name__)


class LoopLayer:
    """The part of `StreamingChannelLayer` that belongs to one running loop; the methods are documented there."""

    def __init__(self, options: LayerOptions) -> None:
        self.options = options
        self.stats = LayerStats()
        self._loop = asyncio.get_running_loop()
        self._process_id = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._channels: dict[str, Channel] = {}
        self._groups: dict[bytes, Group] = {}
        self._process_address: bytes | None = None  # once subscribed
        self._shards = [self._shard(host) for host in options.hosts]
        self._callbacks = Callbacks()

    def _shard(self, host: dict[str, Any]) -> Shard:
        options = self.options
        return Shard(
            host, self.stats, timeout=options.timeout, ping_interval=options.ping_interval,
            max_pending_bytes=options.max_pending_bytes, deliver=self._deliver, on_lost=self._on_lost,
            on_recovered=self._on_recovered,
        )  # fmt: skip

    def _shard_of(self, address: str) -> Shard:
        """The server that this Redis channel belongs to."""
        index: int = _consistent_hash(address, len(self._shards))
        return self._shards[index]

    # --- channels ---

    async def send(self, channel: str, message: Message) -> None:
        local = self._channels.get(channel)
        if local is not None and local.sink is None and local.full:
            raise ChannelFull(channel)
        address = channel_address(self.options.prefix, channel)
        payload = channel.encode() + b" " + self.options.serialize(message)
        await self._shard_of(address).publisher.submit(pack(b"PUBLISH", address, payload))

    def new_name(self, prefix: str) -> str:
        """A name for a channel of this loop that no other channel has."""
        return f"{prefix}{self._process_id}!{next(self._numbers)}"

    async def open(self, name: str) -> Channel:
        """Makes the channel; returns once Redis confirmed that what is sent to it arrives here."""
        address = channel_address(self.options.prefix, name)
        key = address.encode()
        subscriber = self._shard_of(address).subscriber
        channel = self._channels[name] = Channel(name, key, self.options.capacity_of(name))
        subscriber.subscribe(key)
        if self._process_address is None and name.partition("!")[0].endswith(self._process_id):
            # One more reference, so that the subscription outlives its channels.
            self._process_address = key
            subscriber.subscribe(key)
        try:
            await subscriber.wait_until_subscribed(key)
        except BaseException:
            if self._channels.get(name) is channel:
                self.release(name)
            raise
        return channel

    async def receive(self, name: str) -> Message:
        channel = self._channels.get(name) or await self.open(name)
        try:
            while True:
                if channel.reset_due:
                    channel.reset_due = False
                    return {"type": self.options.reset_type}
                if channel.queue:
                    message = self._decode(channel.queue.popleft())
                    if message is not None:
                        return message
                else:
                    await channel.wait()
        except (asyncio.CancelledError, GeneratorExit):
            # Channels has no call that ends a channel: a consumer that ends cancels its receive().
            if self._channels.get(name) is channel and not channel.waiters:
                self.release(name)
            raise

    def attach(self, name: str, sink: Sink) -> None:
        channel = self._local(name)
        channel.sink = sink
        waiting, channel.queue = channel.queue, None
        if channel.reset_due:
            channel.reset_due = False
            self._call_sink(channel, {"type": self.options.reset_type})
        for payload in waiting or ():
            message = self._decode(payload)
            if message is not None:
                self._call_sink(channel, message)

    def detach(self, name: str) -> None:
        self._local(name).sink = None

    def release(self, name: str) -> None:
        channel = self._channels.pop(name, None)
        if channel is None:
            return
        channel.sink = channel.queue = None
        channel.wake_all(RedisConnectionError(f"Channel {name} was released."))
        for key in list(channel.groups):
            self._leave(key, channel)
        self._shard_of(channel.address.decode()).subscriber.unsubscribe(channel.address)

    def _local(self, name: str) -> Channel:
        try:
            return self._channels[name]
        except KeyError:
            raise RuntimeError(
                f"{name!r} is not a channel of this event loop. new_channel() makes one; in a consumer it is "
                "self.channel_name."
            ) from None

    # --- groups ---

    async def groups_add(self, groups: Sequence[str], name: str) -> None:
        channel = self._local(name)
        joining = [self._begin_joining(group, channel) for group in groups]
        try:
            for key, membership in joining:
                await self._shard_of(key.decode()).subscriber.wait_until_subscribed(key)
                membership.confirmed = True
        finally:
            for key, membership in joining:
                membership.waiting -= 1
                if not membership.confirmed and not membership.waiting and channel.groups.get(key) is membership:
                    self._leave(key, channel)

    def _begin_joining(self, group: str, channel: Channel) -> tuple[bytes, Membership]:
        address = group_address(self.options.prefix, group)
        key = address.encode()
        membership = channel.groups.get(key)
        if membership is None:
            membership = channel.groups[key] = Membership()
            self._groups.setdefault(key, Group()).add(channel)
            self._shard_of(address).subscriber.subscribe(key)
        membership.waiting += 1
        return key, membership

    def group_discard(self, group: str, name: str) -> None:
        channel = self._channels.get(name)
        key = group_address(self.options.prefix, group).encode()
        if channel is not None and key in channel.groups:
            self._leave(key, channel)

    def _leave(self, key: bytes, channel: Channel) -> None:
        del channel.groups[key]
        group = self._groups[key]
        group.discard(channel)
        if not group.channels:
            del self._groups[key]
        self._shard_of(key.decode()).subscriber.unsubscribe(key)

    async def group_send(self, group: str, message: Message) -> None:
        address = group_address(self.options.prefix, group)
        await self._shard_of(address).publisher.submit(pack(b"PUBLISH", address, self.options.serialize(message)))

    async def group_execute(self, group: str, *command: bytes | str | int | float) -> Any:
        return await self._shard_of(group_address(self.options.prefix, group)).publisher.submit(pack(*command))

    def group_connection(self, group: str) -> redis.asyncio.Redis:
        return self._shard_of(group_address(self.options.prefix, group)).client

    # --- publications from Redis ---

    def _deliver(self, address: bytes, payload: bytes) -> None:
        """Passes a publication to the members of its group, or to the channel that is named in it."""
        group = self._groups.get(address)
        if group is not None:
            members = group.members
        else:
            name, _, payload = payload.partition(b" ")
            channel = self._channels.get(name.decode("ascii", "replace"))
            if channel is None or channel.address != address:
                return  # it was released, or left the group, a moment ago
            members = (channel,)
        message: Message | None = None
        for channel in members:
            if channel.sink is None:
                self.stats.dispatched += 1
                if channel.put(payload):
                    self._count_dropped(channel)
            else:
                if message is None:
                    message = self._decode(payload)
                    if message is None:
                        return
                self._call_sink(channel, message)

    def _decode(self, payload: bytes) -> Message | None:
        try:
            return self.options.deserialize(payload)
        except Exception:
            count = self.stats.undecodable = self.stats.undecodable + 1
            if count & (count - 1) == 0:  # the 1st, 2nd, 4th ...: a wrong key must not fill the disk with log lines
                logger.exception("%d publications could not be decoded; this one has %d bytes", count, len(payload))
            return None

    def _call_sink(self, channel: Channel, message: Message) -> None:
        sink = channel.sink
        if sink is None:  # the previous sink detached or released this channel
            return
        self.stats.dispatched += 1
        try:
            sink(message)
        except Exception:
            self.stats.sink_errors += 1
            logger.exception("The sink of %s failed", channel.name)

    def _count_dropped(self, channel: Channel) -> None:
        self.stats.dropped += 1
        if not channel.warned:
            channel.warned = True
            logger.warning(
                "The queue of %s is full (%d messages): each new message drops the oldest",
                channel.name,
                channel.capacity,
            )

    def _on_lost(self) -> None:
        self._notify(self.options.on_disconnect)

    def _on_recovered(self) -> None:
        self._notify(self.options.on_reconnect)
        if self.options.reset_type is None:
            return
        for channel in list(self._channels.values()):
            self.stats.resets += 1
            if channel.sink is None:
                channel.reset_due = True
                channel.wake()
            else:
                self._call_sink(channel, {"type": self.options.reset_type})

    def _notify(self, callback: Callable[[], Any] | str | None) -> None:
        """Calls the callback, or sends every local channel a message of this type, as channels_redis documents it."""
        if callback is None:
            return
        if not isinstance(callback, str):
            self._callbacks.run(callback)
            return
        payload = self.options.serialize({"type": callback})
        for channel in list(self._channels.values()):
            if channel.sink is None:
                channel.put(payload)
            else:
                self._call_sink(channel, {"type": callback})

    # --- closing ---

    async def flush(self) -> None:
        channels, self._channels = self._channels, {}
        self._groups = {}
        self._process_address = None
        for channel in channels.values():
            channel.sink = channel.queue = None
            channel.groups.clear()
            channel.wake_all(RedisConnectionError("The channel layer was flushed."))
        for shard in self._shards:
            await shard.close()
        await self._callbacks.cancel()

    def snapshot(self) -> LayerStats:
        return dataclasses.replace(
            self.stats,
            subscriptions=sum(len(shard.subscriber) for shard in self._shards),
            channels=len(self._channels),
            groups=len(self._groups),
            pending_bytes=sum(shard.publisher.pending_bytes for shard in self._shards),
        )

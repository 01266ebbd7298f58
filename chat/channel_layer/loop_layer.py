"""The channel layer of one event loop: its channels, its groups, its connections."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import itertools
import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis.asyncio
from channels.exceptions import ChannelFull
from channels_redis.utils import _consistent_hash
from redis.exceptions import ConnectionError as RedisConnectionError

from .channel import Channel, Group, Membership, Message, Sink
from .resp import pack
from .shard import Shard
from .stats import LayerStats

if TYPE_CHECKING:
    from .layer import StreamingChannelLayer

logger = logging.getLogger(__name__)

PROCESS_ID_LENGTH = 32  # of the hexadecimal UUID before the "!" in a channel's name


def group_address(prefix: str, group: str) -> str:
    """The Redis channel of a group; the same as that of channels_redis."""
    return f"{prefix}__group__{group}"


class LoopLayer:
    """What `StreamingChannelLayer` does on one running loop; see there for the meaning of each method."""

    def __init__(self, owner: StreamingChannelLayer) -> None:
        self.owner = owner
        self.stats = LayerStats()
        self._loop = asyncio.get_running_loop()
        self._process_id = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._channels: dict[str, Channel] = {}
        self._groups: dict[bytes, Group] = {}
        self._process_address: bytes | None = None  # once subscribed
        self._shards = [
            Shard(
                host,
                self.stats,
                timeout=owner.timeout,
                ping_interval=owner.ping_interval,
                max_pending_bytes=owner.max_pending_bytes,
                deliver=self.deliver,
                on_lost=self.notice_loss,
                on_recovered=self.notice_recovery,
            )
            for host in owner.hosts
        ]
        self._callbacks: set[asyncio.Task[Any]] = set()

    def shard_of(self, address: str) -> Shard:
        index: int = _consistent_hash(address, len(self._shards))
        return self._shards[index]

    def _channel_address(self, channel: str) -> str:
        """The Redis channel for `send`. All channels that one loop made share one, and so one subscription."""
        head, mark, _ = channel.partition("!")
        if mark:
            return f"{self.owner.prefix}__process__{head[-PROCESS_ID_LENGTH:]}"
        return f"{self.owner.prefix}__channel__{channel}"

    # --- channels ---

    async def send(self, channel: str, message: Message) -> None:
        local = self._channels.get(channel)
        if local is not None and local.sink is None and local.full:
            raise ChannelFull(channel)
        address = self._channel_address(channel)
        payload = channel.encode() + b" " + self.owner.serialize(message)
        await self.shard_of(address).publisher.submit(pack(b"PUBLISH", address, payload))

    async def new_channel(self, prefix: str) -> str:
        name = f"{prefix}{self._process_id}!{next(self._numbers)}"
        self.owner.require_valid_channel_name(name)
        await self._open(name)
        return name

    async def _open(self, name: str) -> Channel:
        address = self._channel_address(name)
        key = address.encode()
        subscriber = self.shard_of(address).subscriber
        channel = self._channels[name] = Channel(name, key, self.owner.get_capacity(name))
        subscriber.want(key)
        if self._process_address is None and name.partition("!")[0].endswith(self._process_id):
            # One more owner, so that the subscription outlives its channels.
            self._process_address = key
            subscriber.want(key)
        try:
            await subscriber.acknowledged(key)
        except BaseException:
            if self._channels.get(name) is channel:
                self.release(name)
            raise
        return channel

    async def receive(self, name: str) -> Message:
        channel = self._channels.get(name) or await self._open(name)
        try:
            while True:
                if channel.reset_due:
                    channel.reset_due = False
                    return {"type": self.owner.reset_type}
                if channel.queue:
                    message = self._decode(channel.queue.popleft())
                    if message is not None:
                        return message
                else:
                    await channel.wait()
        except (asyncio.CancelledError, GeneratorExit):
            # Channels has no call that ends a channel: a consumer that goes away cancels its receive().
            if self._channels.get(name) is channel and not channel.waiters:
                self.release(name)
            raise

    def attach(self, name: str, sink: Sink) -> None:
        channel = self._local(name)
        channel.sink = sink
        waiting, channel.queue = channel.queue, None
        if channel.reset_due:
            channel.reset_due = False
            self._give(channel, {"type": self.owner.reset_type})
        for payload in waiting or ():
            message = self._decode(payload)
            if message is not None:
                self._give(channel, message)

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
        self.shard_of(channel.address.decode()).subscriber.unwant(channel.address)

    def _local(self, name: str) -> Channel:
        try:
            return self._channels[name]
        except KeyError:
            raise RuntimeError(
                f"{name!r} is not a channel of this event loop. new_channel() makes one; in a consumer it is "
                "self.channel_name."
            ) from None

    # --- groups ---

    async def group_add(self, group: str, name: str) -> None:
        channel = self._local(name)
        address = group_address(self.owner.prefix, group)
        key = address.encode()
        subscriber = self.shard_of(address).subscriber
        membership = channel.groups.get(key)
        if membership is None:
            membership = channel.groups[key] = Membership()
            self._groups.setdefault(key, Group()).add(channel)
            subscriber.want(key)
        membership.waiting += 1
        try:
            await subscriber.acknowledged(key)
            membership.confirmed = True
        finally:
            membership.waiting -= 1
            if not membership.confirmed and not membership.waiting and channel.groups.get(key) is membership:
                self._leave(key, channel)

    def group_discard(self, group: str, name: str) -> None:
        channel = self._channels.get(name)
        key = group_address(self.owner.prefix, group).encode()
        if channel is not None and key in channel.groups:
            self._leave(key, channel)

    def _leave(self, key: bytes, channel: Channel) -> None:
        del channel.groups[key]
        group = self._groups[key]
        group.discard(channel)
        if not group.channels:
            del self._groups[key]
        self.shard_of(key.decode()).subscriber.unwant(key)

    async def group_send(self, group: str, message: Message) -> None:
        address = group_address(self.owner.prefix, group)
        await self.shard_of(address).publisher.submit(pack(b"PUBLISH", address, self.owner.serialize(message)))

    async def group_execute(self, group: str, *command: bytes | str | int | float) -> Any:
        return await self.shard_of(group_address(self.owner.prefix, group)).publisher.submit(pack(*command))

    def group_connection(self, group: str) -> redis.asyncio.Redis:
        return self.shard_of(group_address(self.owner.prefix, group)).client

    # --- what comes from Redis ---

    def deliver(self, address: bytes, payload: bytes) -> None:
        """One publication, to the members of the group or to the channel that its envelope names."""
        group = self._groups.get(address)
        if group is not None:
            members = group.members
        else:
            name, _, payload = payload.partition(b" ")
            channel = self._channels.get(name.decode("ascii", "replace"))
            if channel is None or channel.address != address:
                return  # released, or left a moment ago
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
                self._give(channel, message)

    def _decode(self, payload: bytes) -> Message | None:
        try:
            return self.owner.deserialize(payload)
        except Exception:
            count = self.stats.undecodable = self.stats.undecodable + 1
            if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th: a wrong key must not fill the disk
                logger.exception("%d publications are not messages of this layer; %d bytes", count, len(payload))
            return None

    def _give(self, channel: Channel, message: Message) -> None:
        sink = channel.sink
        if sink is None:  # detached or released by the sink before this one
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
            logger.warning("%s holds %d messages and drops its oldest for each new one", channel.name, channel.capacity)

    def notice_loss(self) -> None:
        self._notify(self.owner.on_disconnect)

    def notice_recovery(self) -> None:
        self._notify(self.owner.on_reconnect)
        if self.owner.reset_type is None:
            return
        for channel in list(self._channels.values()):
            self.stats.resets += 1
            if channel.sink is None:
                channel.reset_due = True
                channel.wake()
            else:
                self._give(channel, {"type": self.owner.reset_type})

    def _notify(self, told: Callable[[], Any] | str | None) -> None:
        """Calls the callback, or hands every local channel a message of the type, as channels_redis documents it."""
        if told is None:
            return
        if isinstance(told, str):
            payload = self.owner.serialize({"type": told})
            for channel in list(self._channels.values()):
                if channel.sink is None:
                    channel.put(payload)
                else:
                    self._give(channel, {"type": told})
            return
        try:
            result = told()
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._callbacks.add(task)
                task.add_done_callback(self._callback_done)
        except Exception:
            logger.exception("A callback of the channel layer failed")

    def _callback_done(self, task: asyncio.Future[Any]) -> None:
        self._callbacks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A callback of the channel layer failed", exc_info=task.exception())

    # --- the end ---

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
        callbacks = list(self._callbacks)
        for task in callbacks:
            task.cancel()
        for task in callbacks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def snapshot(self) -> LayerStats:
        return dataclasses.replace(
            self.stats,
            subscriptions=sum(len(shard.subscriber) for shard in self._shards),
            channels=len(self._channels),
            groups=len(self._groups),
            pending_bytes=sum(shard.publisher.pending_bytes for shard in self._shards),
        )

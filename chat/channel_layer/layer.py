"""`StreamingChannelLayer`: the facade with channels_redis' API and options. See docs/channel-layer.md."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import redis.asyncio
from channels.layers import BaseChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.utils import decode_hosts

from .addresses import group_address
from .channel import Message, Sink
from .loop_layer import LoopLayer
from .options import LayerOptions
from .stats import LayerStats

STAMP = b"\xc1"  # never the first byte of msgpack (reserved), JSON (not UTF-8) or a Fernet token (ASCII)
STAMP_KEY = "__stamp__"


class StreamingChannelLayer(RedisPubSubChannelLayer, BaseChannelLayer):  # type: ignore[misc]  # both are untyped
    """A Redis pub/sub channel layer for many messages a second.

    Delivery is at most once, in order per publisher and Redis server. Lost messages are counted (`stats`), and after
    a lost connection every local channel gets `{"type": "layer.reset"}`.

    Each event loop has connections, channels and groups of its own; all methods but `stats`, `serialize`,
    `deserialize` and `group_address` need a running loop. Redis errors are raised as redis-py's exceptions.

    Options besides those of channels_redis:

    timeout            seconds to connect, and to wait for a reply or an acknowledgement
    ping_interval      seconds between checks of an idle connection
    max_pending_bytes  bytes published and not yet acknowledged, per Redis server, before ChannelFull is raised
    reset_type         type of the message after a lost connection; None for none
    on_disconnect, on_reconnect
                       a callable without arguments (it may be a coroutine function), or a message type for all
                       local channels
    expiry, group_expiry
                       accepted for compatibility, without effect: nothing is stored in Redis
    """

    extensions = ["groups", "flush"]  # noqa: RUF012 - the name and type are Channels' own

    def __init__(
        self,
        hosts: list[Any] | None = None,
        prefix: str = "asgi",
        on_disconnect: Callable[[], Any] | str | None = None,
        on_reconnect: Callable[[], Any] | str | None = None,
        *,
        symmetric_encryption_keys: list[str | bytes] | None = None,
        serializer_format: str = "msgpack",
        capacity: int = 100,
        channel_capacity: dict[Any, int] | None = None,
        timeout: float = 5.0,
        ping_interval: float = 10.0,
        max_pending_bytes: int = 16 * 1024 * 1024,
        reset_type: str | None = "layer.reset",
        expiry: int = 60,
        group_expiry: int = 86_400,
    ) -> None:
        RedisPubSubChannelLayer.__init__(
            self, symmetric_encryption_keys=symmetric_encryption_keys, serializer_format=serializer_format
        )
        BaseChannelLayer.__init__(self, expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.options = LayerOptions(
            hosts=tuple(decode_hosts(hosts)),
            prefix=prefix,
            timeout=timeout,
            ping_interval=ping_interval,
            max_pending_bytes=max_pending_bytes,
            reset_type=reset_type,
            on_disconnect=on_disconnect,
            on_reconnect=on_reconnect,
            capacity_of=self.get_capacity,
            serialize=self.serialize,
            deserialize=self.deserialize,
        )
        self._layers: dict[asyncio.AbstractEventLoop, LoopLayer] = {}
        self._wrapped: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._retired = LayerStats()  # of loops that have ended

    # --- Channels' API ---

    async def send(self, channel: str, message: Message) -> None:
        """Publishes to one channel and waits for Redis's reply.

        Raises ChannelFull when the channel is local and its queue is full, or when `max_pending_bytes` wait for Redis.
        """
        _require_message(message)
        self.require_valid_channel_name(channel)
        await self._get_layer().send(channel, message)

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Makes a channel of this loop, ready to receive, and returns its name. Only the first one needs Redis."""
        layer = self._get_layer()
        name = layer.new_name(prefix)
        self.require_valid_channel_name(name)
        await layer.open(name)
        return name

    async def receive(self, channel: str) -> Message:
        """The next message of the channel; each message goes to one receiver. Cancelling releases the channel."""
        self.require_valid_channel_name(channel)
        return await self._get_layer().receive(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Adds the channel; returns once Redis acknowledged the subscription, so that later publications arrive."""
        await self.groups_add([group], channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Removes the channel from the group at once; does nothing if it is not a member."""
        self.require_valid_group_name(group)
        self._get_layer().group_discard(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Publishes to the group and waits for Redis's reply. Calls in one iteration of the loop share a write."""
        _require_message(message)
        self.require_valid_group_name(group)
        await self._get_layer().group_send(group, message)

    async def flush(self) -> None:
        """Removes this loop's channels and groups and closes its connections, which are opened again when needed."""
        layer = self._layers.get(asyncio.get_running_loop())
        if layer is not None:
            await layer.flush()

    async def close(self) -> None:
        """Like `flush`, and ends this loop's layer. Only needed where a loop ends without `loop.close()`."""
        layer = self._layers.pop(asyncio.get_running_loop(), None)
        if layer is not None:
            await self._retire(layer)

    # --- for streams ---

    async def groups_add(self, groups: Sequence[str], channel: str) -> None:
        """`group_add` to several groups in one round trip. If it raises, the channel may be in some of them."""
        for group in groups:
            self.require_valid_group_name(group)
        await self._get_layer().groups_add(groups, channel)

    def attach(self, channel: str, sink: Sink) -> None:
        """Calls `sink` with each message of the channel from now on, first with those that wait in its queue.

        The sink is called on the loop while a batch is read: it must not block. One dict is shared by all sinks that
        a publication reaches, so it must not be changed. An exception is logged and counted; other sinks are not
        affected.
        """
        self._get_layer().attach(channel, sink)

    def detach(self, channel: str) -> None:
        """Removes the channel's sink; its messages are queued again."""
        self._get_layer().detach(channel)

    def release(self, channel: str) -> None:
        """Removes a channel with its queue, its group memberships and its sink. Unknown names are no error."""
        self._get_layer().release(channel)

    def group_address(self, group: str) -> str:
        """The Redis channel of a group, for a Lua script that publishes the result of `serialize`.

        A script may put a stamp before it: `"\\xc1" .. stamp .. " " .. payload`, where the stamp is ASCII without
        spaces. It arrives as `message["__stamp__"]`. The stamp is neither encrypted nor authenticated.
        """
        self.require_valid_group_name(group)
        return group_address(self.options.prefix, group)

    def group_connection(self, group: str) -> redis.asyncio.Redis:
        """redis-py's client of the running loop for the server that owns the group; it is closed with the layer."""
        self.require_valid_group_name(group)
        return self._get_layer().group_connection(group)

    async def group_execute(self, group: str, *command: bytes | str | int | float) -> Any:
        """Runs a command, such as EVALSHA, on the server that owns the group, in the pipeline of `group_send`.

        Much cheaper than `group_connection`, and in order with this loop's publications. Not for commands that block
        or change the connection. Returns bytes, int, list or None; error replies are raised.
        """
        self.require_valid_group_name(group)
        return await self._get_layer().group_execute(group, *command)

    def serialize(self, message: Message) -> bytes:
        """The payload of a message. Raises ValueError if it could be mistaken for a stamped one."""
        if STAMP_KEY in message:
            raise ValueError(f"{STAMP_KEY} is set by scripts only")
        payload: bytes = self._serializer.serialize(message)
        if payload[:1] == STAMP:
            raise ValueError("The serializer's output begins with 0xC1, which marks a stamp")
        return payload

    def deserialize(self, message: bytes) -> Message:
        """The message of a payload, with its stamp if it has one. Raises ValueError or the serializer's errors."""
        stamp = None
        if message[:1] == STAMP:
            end = message.index(b" ")
            stamp = message[1:end].decode("ascii")
            message = message[end + 1 :]
        result = self._serializer.deserialize(message)
        if not isinstance(result, dict):
            raise ValueError("Not a message: a dict was expected")
        if stamp is not None:
            result[STAMP_KEY] = stamp
        return result

    def stats(self) -> LayerStats:
        """Counters and gauges of this process, summed over its loops. May be called from any thread."""
        return sum((layer.snapshot() for layer in list(self._layers.values())), self._retired)

    # --- per loop ---

    def __getattr__(self, name: str) -> Any:
        # The parent class looks unknown names up on the running loop's layer; here every name is on this class.
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _get_layer(self) -> LoopLayer:
        loop = asyncio.get_running_loop()
        layer = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = LoopLayer(self.options)
            self._close_with(loop)
        return layer

    def _close_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes the connections when the loop is closed, as `asyncio.run` and `async_to_sync` do."""
        if loop in self._wrapped:
            return
        self._wrapped.add(loop)
        close = loop.close

        def close_layer_first() -> None:
            if not loop.is_running() and not loop.is_closed():
                layer = self._layers.pop(loop, None)
                if layer is not None:
                    loop.run_until_complete(self._retire(layer))
            close()

        loop.close = close_layer_first  # type: ignore[method-assign]  # asyncio has no hook for a loop's end

    async def _retire(self, layer: LoopLayer) -> None:
        await layer.flush()
        self._retired += layer.snapshot()


def _require_message(message: Message) -> None:
    if not isinstance(message, dict):
        raise TypeError("A channel layer's message is a dict")

"""What the streaming layer adds to the specification: sinks, bounded queues, releases, stamps."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import weakref
from typing import Any

import pytest
import redis.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.channel_layer import StreamingChannelLayer
from tests.integration.chat.channel_layer.layer_servers import Make, client_of, until

STAMPED_PUBLISH = rb"return redis.call('PUBLISH', KEYS[1], '\193' .. ARGV[1] .. ' ' .. ARGV[2])"


class Inbox(list[dict[str, Any]]):
    """A sink that keeps what it is given."""

    def __call__(self, message: dict[str, Any]) -> None:
        self.append(message)


async def join(layer: StreamingChannelLayer, group: str) -> tuple[str, Inbox]:
    channel, inbox = await layer.new_channel(), Inbox()
    layer.attach(channel, inbox)
    await layer.group_add(group, channel)
    return channel, inbox


# --- sinks and queues ---


async def test_sinks_share_one_dict_and_queues_copy(make: Make) -> None:
    layer = make()
    _, one = await join(layer, "g")
    _, two = await join(layer, "g")
    queued = await layer.new_channel()
    await layer.group_add("g", queued)
    await layer.group_send("g", {"type": "m", "list": [1]})
    await until(lambda: one and two)
    assert one[0] is two[0]
    message = await layer.receive(queued)
    assert message == one[0]
    assert message["list"] is not one[0]["list"]


async def test_a_failing_sink_harms_nobody(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    layer = make()
    channel = await layer.new_channel()

    def fail(message: dict[str, Any]) -> None:
        raise ZeroDivisionError(message["n"])

    layer.attach(channel, fail)
    await layer.group_add("g", channel)
    _, inbox = await join(layer, "g")
    for n in range(3):
        await layer.group_send("g", {"type": "m", "n": n})
    await until(lambda: len(inbox) == 3)
    assert layer.stats().sink_errors == 3
    assert "ZeroDivisionError" in caplog.text


async def test_attach_begins_with_what_waits_and_detach_goes_back_to_the_queue(make: Make) -> None:
    layer = make()
    channel, inbox = await layer.new_channel(), Inbox()
    for n in range(3):
        await layer.send(channel, {"type": "m", "n": n})
    await until(lambda: layer.stats().dispatched == 3)
    layer.attach(channel, inbox)
    await layer.send(channel, {"type": "m", "n": 3})
    await until(lambda: len(inbox) == 4)
    assert [message["n"] for message in inbox] == [0, 1, 2, 3]
    layer.detach(channel)
    await layer.send(channel, {"type": "m", "n": 4})
    assert (await layer.receive(channel))["n"] == 4
    assert len(inbox) == 4


async def test_a_sink_may_release_and_join_while_a_message_goes_round(make: Make) -> None:
    layer = make()
    later, inbox = await join(layer, "g")
    first = await layer.new_channel()
    second, after = await join(layer, "g")

    def act(message: dict[str, Any]) -> None:
        layer.release(second)
        layer.release(first)

    layer.attach(first, act)
    await layer.group_add("g", first)
    await layer.group_send("g", {"type": "m", "n": 0})
    await layer.group_send("g", {"type": "m", "n": 1})
    await until(lambda: len(inbox) == 2)
    assert layer.stats().channels == 1
    assert len(after) <= 1
    assert later in layer._get_layer()._channels


async def test_an_overflowing_queue_drops_its_oldest_and_counts(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    layer = make(capacity=10)
    slow = await layer.new_channel()
    await layer.group_add("g", slow)
    _, fast = await join(layer, "g")
    for n in range(100):
        await layer.group_send("g", {"type": "m", "n": n})
    await until(lambda: len(fast) == 100)
    assert layer.stats().dropped == 90
    assert [(await layer.receive(slow))["n"] for _ in range(10)] == list(range(90, 100))
    assert caplog.text.count("drops the oldest") == 1


async def test_released_channels_leave_nothing(make: Make, clean_redis: str) -> None:
    layer = make()
    inboxes: weakref.WeakSet[Sink] = weakref.WeakSet()

    for batch in range(20):
        channels = [await layer.new_channel() for _ in range(100)]
        for channel in channels:
            sink = Sink()
            inboxes.add(sink)
            layer.attach(channel, sink)
        await asyncio.gather(*(layer.group_add("all", channel) for channel in channels))
        await asyncio.gather(*(layer.group_add(f"g{batch}.{n}", channel) for n, channel in enumerate(channels)))
        await layer.group_send("all", {"type": "m"})
        for channel in channels:
            layer.release(channel)
            layer.release(channel)  # twice is no error
    del sink
    gc.collect()
    assert len(inboxes) == 0
    await until(lambda: layer.stats().subscriptions == 1)  # the process's own
    stats, inner = layer.stats(), layer._get_layer()
    assert (stats.channels, stats.groups, stats.sink_errors) == (0, 0, 0)
    assert not inner._channels
    assert not inner._groups
    subscriber = inner._shards[0].subscriber
    await until(lambda: not subscriber._acks and not subscriber._changed)
    assert [subscription.references for subscription in subscriber._subscriptions.values()] == [1]
    with client_of(clean_redis) as client:
        assert client.pubsub_channels("asgi__group__*") == []


class Sink:
    """A class of its own, since a list cannot be weakly referenced."""

    def __call__(self, message: dict[str, Any]) -> None:
        pass


async def test_a_release_ends_a_pending_receive(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    waiting = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    layer.release(channel)
    with pytest.raises(redis.exceptions.ConnectionError, match="released"):
        await waiting


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\xc1no-space", b"\xc1st\xffmp \x80", b"\xff\xfe", b"\x93\x01\x02\x03"]
)
async def test_garbage_is_counted_and_passed_over(make: Make, clean_redis: str, payload: bytes) -> None:
    layer = make()
    _, inbox = await join(layer, "g")
    queued = await layer.new_channel()
    await layer.group_add("g", queued)
    with client_of(clean_redis) as client:
        client.publish(layer.group_address("g"), payload)
        client.publish(f"asgi__process__{queued.partition('!')[0][-32:]}", payload)  # an envelope with no channel
    await layer.group_send("g", {"type": "m"})
    async with asyncio.timeout(5):
        assert await layer.receive(queued) == {"type": "m"}
    assert inbox == [{"type": "m"}]
    assert layer.stats().undecodable == 1  # once for both: the sink's is the only try


# --- stamps ---


@pytest.mark.parametrize("config", [{}, {"serializer_format": "json"}, {"symmetric_encryption_keys": ["a key"]}])
async def test_a_script_stamps_its_publications(make: Make, config: dict[str, Any]) -> None:
    layer = make(**config)
    _, inbox = await join(layer, "g")
    queued = await layer.new_channel()
    await layer.group_add("g", queued)
    message = {"type": "m", "text": "é \x00 text"}
    for n in range(3):
        arguments = (STAMPED_PUBLISH, 1, layer.group_address("g"), f"epoch-7:{n}", layer.serialize(message))
        if n == 0:
            client = layer.group_connection("g")
            assert await client.execute_command("EVAL", *arguments) == 1  # type: ignore[no-untyped-call]  # redis-py
        else:
            assert await layer.group_execute("g", "EVAL", *arguments) == 1
    await layer.group_send("g", message)
    await until(lambda: len(inbox) == 4)
    assert inbox == [message | {"__stamp__": f"epoch-7:{n}"} for n in range(3)] + [message]
    assert [await layer.receive(queued) for _ in range(4)] == inbox


async def test_no_message_can_pass_for_a_stamped_one(make: Make) -> None:
    layer = make()
    with pytest.raises(ValueError, match="__stamp__"):
        await layer.group_send("g", {"type": "m", "__stamp__": "1-1"})

    class Colliding:
        def serialize(self, message: dict[str, Any]) -> bytes:
            return b"\xc1" + json.dumps(message).encode()

    layer._serializer = Colliding()
    with pytest.raises(ValueError, match="0xC1"):
        await layer.group_send("g", {"type": "m"})


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8) | st.binary(max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES | st.lists(VALUES, max_size=3), max_size=20))
def test_the_marker_is_never_the_first_byte_of_msgpack(message: dict[str, Any]) -> None:
    message.pop("__stamp__", None)
    layer = StreamingChannelLayer()
    assert layer.deserialize(b"\xc1a.b:c " + layer.serialize(message)) == message | {"__stamp__": "a.b:c"}
    assert layer.deserialize(layer.serialize(message)) == message


# --- the surface ---


def test_unknown_options_and_attributes_are_errors() -> None:
    with pytest.raises(TypeError):
        StreamingChannelLayer(capcity=3)  # type: ignore[call-arg]
    layer = StreamingChannelLayer()
    assert not hasattr(layer, "no_such_method")  # without a loop, too
    assert layer.stats().published == 0


async def test_close_is_final_for_what_waits_and_may_be_repeated(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    waiting = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.close()
    await layer.close()
    with pytest.raises(redis.exceptions.ConnectionError, match="flushed"):
        await waiting
    with contextlib.suppress(KeyError):
        assert layer.stats().channels == 0
    await layer.group_send("g", {"type": "m"})  # opens again when used

"""What the streaming layer promises beyond the specification: confirmed joins, pipelined and bounded publishing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis.exceptions
import uvloop
from channels.exceptions import ChannelFull
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.channel_layer import StreamingChannelLayer
from tests.integration.chat.channel_layer.layer_servers import (
    Make,
    calls_of,
    client_of,
    frozen,
    own_redis,
    subscribers_of,
    until,
)

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


# --- joining ---


async def test_a_join_is_live_when_it_returns(make: Make, clean_redis: str) -> None:
    layer = make()
    channel = await layer.new_channel()
    for n in range(50):
        await layer.group_add(f"g{n}", channel)
        assert subscribers_of(clean_redis, layer.group_address(f"g{n}")) == 1


async def test_concurrent_joins_share_one_subscribe(make: Make, clean_redis: str) -> None:
    layer = make()
    channels = [await layer.new_channel() for _ in range(50)]
    before = calls_of(clean_redis, "subscribe")
    await asyncio.gather(*(layer.group_add("g", channel) for channel in channels))
    assert calls_of(clean_redis, "subscribe") == before + 1
    assert layer.stats().subscriptions == 2


async def test_several_groups_are_joined_with_one_command(make: Make, clean_redis: str) -> None:
    layer = make()
    channel, inbox = await layer.new_channel(), Inbox()
    layer.attach(channel, inbox)
    before = calls_of(clean_redis, "subscribe")
    await layer.groups_add(["g1", "g2", "g3"], channel)
    assert calls_of(clean_redis, "subscribe") == before + 1
    for n in (1, 2, 3):
        await layer.group_send(f"g{n}", {"type": "m", "n": n})
    await until(lambda: len(inbox) == 3)
    assert [message["n"] for message in inbox] == [1, 2, 3]


async def test_a_group_that_is_left_while_several_are_joined(make: Make, clean_redis: str) -> None:
    layer = make()
    channel = await layer.new_channel()
    joining = asyncio.create_task(layer.groups_add(["g1", "g2"], channel))
    await asyncio.sleep(0)
    await layer.group_discard("g2", channel)
    await asyncio.wait_for(joining, 5)
    await until(lambda: subscribers_of(clean_redis, layer.group_address("g2")) == 0)
    assert subscribers_of(clean_redis, layer.group_address("g1")) == 1


async def test_thousands_of_channels_cost_one_subscription(make: Make, clean_redis: str) -> None:
    layer = make()
    before = calls_of(clean_redis, "subscribe")
    names = [await layer.new_channel() for _ in range(2000)]
    assert calls_of(clean_redis, "subscribe") == before + 1
    assert layer.stats().subscriptions == 1
    assert len(set(names)) == 2000


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["join", "leave"]), min_size=1, max_size=4), min_size=1, max_size=12))
def test_any_order_of_joins_and_leaves_ends_right(turns: list[list[str]]) -> None:
    """Each inner list happens within one turn of the loop. A join that returned receives, until a later leave."""

    async def play(url: str) -> None:
        layer = StreamingChannelLayer(hosts=[url])
        try:
            with client_of(url) as client:
                channel, inbox = await layer.new_channel(), Inbox()
                layer.attach(channel, inbox)
                joins = []
                member = False
                for turn in turns:
                    for act in turn:
                        member = act == "join"
                        if member:
                            joins.append(asyncio.create_task(layer.group_add("g", channel)))
                            await asyncio.sleep(0)
                        else:
                            await layer.group_discard("g", channel)
                    await asyncio.sleep(0)
                await asyncio.wait_for(asyncio.gather(*joins), 5)
                client.publish(layer.group_address("g"), layer.serialize({"type": "m"}))
                await layer.send(channel, {"type": "the.end"})
                await until(lambda: inbox and inbox[-1]["type"] == "the.end")
                assert [message["type"] for message in inbox] == ["m"] * member + ["the.end"]
                await until(lambda: subscribers_of(url, layer.group_address("g")) == int(member))
        finally:
            await layer.close()

    from tests.servers import servers

    asyncio.run(play(servers.redis.url))


# --- publishing ---


async def test_one_turn_of_the_loop_is_one_write(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make()
    _, inbox = await join(layer, "g")
    await layer.group_send("g", {"type": "m", "n": -1})
    connection = layer._get_layer()._shards[0].publisher._connection
    assert connection is not None
    writes: list[bytes] = []
    write = connection.write

    def count(data: bytes) -> None:
        writes.append(data)
        write(data)

    monkeypatch.setattr(connection, "write", count)
    await asyncio.gather(*(layer.group_send("g", {"type": "m", "n": n}) for n in range(500)))
    assert len(writes) == 1
    await until(lambda: len(inbox) == 501)
    assert [message["n"] for message in inbox] == list(range(-1, 500))


async def test_a_refused_command_fails_alone(make: Make) -> None:
    layer = make()
    results = await asyncio.gather(
        layer.group_execute("g", "SET", "k", "v"),
        layer.group_execute("g", "NO-SUCH-COMMAND"),
        layer.group_execute("g", "LPUSH", "k", 1),
        layer.group_execute("g", "GET", "k"),
        return_exceptions=True,
    )
    assert results[0] == b"OK"
    assert isinstance(results[1], redis.exceptions.ResponseError)
    assert isinstance(results[2], redis.exceptions.ResponseError)
    assert results[3] == b"v"
    assert (layer.stats().published, layer.stats().publish_errors) == (2, 2)


async def test_a_caller_that_gives_up_shifts_no_replies(make: Make) -> None:
    layer = make()
    unsent = asyncio.create_task(layer.group_execute("g", "SET", "unsent", 1))
    await asyncio.sleep(0)
    unsent.cancel()
    assert await layer.group_execute("g", "ECHO", "a") == b"a"
    sent = asyncio.create_task(layer.group_execute("g", "ECHO", "b"))
    await asyncio.sleep(0)
    layer._get_layer()._shards[0].publisher._flush()
    sent.cancel()
    assert await layer.group_execute("g", "ECHO", "c") == b"c"
    assert await layer.group_execute("g", "EXISTS", "unsent") == 0
    assert layer.stats().pending_bytes == 0


async def test_publishing_to_a_silent_redis_is_bounded_in_bytes_and_time() -> None:
    with own_redis() as server:
        layer = StreamingChannelLayer(hosts=[server.url], timeout=0.5, max_pending_bytes=100_000)
        try:
            await layer.group_send("g", {"type": "m"})
            loop = asyncio.get_running_loop()
            with frozen(server):
                began = loop.time()
                sends = [asyncio.create_task(layer.group_send("g", {"type": "m", "x": "x" * 1000})) for _ in range(200)]
                results = await asyncio.gather(*sends, return_exceptions=True)
                assert loop.time() - began < 3
            kinds = [type(result) for result in results]
            assert set(kinds) == {redis.exceptions.TimeoutError, ChannelFull}
            assert 80 < kinds.count(redis.exceptions.TimeoutError) < 100
            assert layer.stats().pending_bytes == 0
            assert layer.stats().publish_errors == 200
            await layer.group_send("g", {"type": "m"})
        finally:
            await layer.close()


SEND_20K = """
import asyncio, sys
from chat.channel_layer import StreamingChannelLayer
layer = StreamingChannelLayer(hosts=[sys.argv[1]])
async def main():
    for start in range(0, 20_000, 200):
        await asyncio.gather(*(layer.group_send("g", {"type": "m", "n": n}) for n in range(start, start + 200)))
    await layer.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_20_000_messages_from_another_process_come_in_order(clean_redis: str, runner: Callable[[Any], None]) -> None:
    async def main() -> None:
        layer = StreamingChannelLayer(hosts=[clean_redis])
        _, one = await join(layer, "g")
        _, two = await join(layer, "g")
        sender = await asyncio.create_subprocess_exec(sys.executable, "-c", SEND_20K, clean_redis)
        await until(lambda: len(one) == 20_000, seconds=30)
        assert await sender.wait() == 0
        assert [message["n"] for message in one] == list(range(20_000))
        assert one == two
        assert layer.stats().received == 20_000
        assert layer.stats().dispatched == 40_000
        await layer.close()

    runner(main())

"""The channel layer's options, and event loops of its own: encryption, shards, flushing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from chat.channel_layer import StreamingChannelLayer
from tests.integration.chat.channel_layer.inboxes import receive
from tests.integration.chat.channel_layer.layer_servers import Make, client_of, own_redis, subscribers_of, until

KEY, OLD_KEY, OTHER_KEY = "the key of today", "the key of yesterday", "somebody else's key"


@pytest.mark.parametrize("format_", ["msgpack", "json"])
async def test_encryption(make: Make, clean_redis: str, format_: str) -> None:
    old = make(symmetric_encryption_keys=[OLD_KEY], serializer_format=format_)
    new = make(symmetric_encryption_keys=[KEY, OLD_KEY], serializer_format=format_)
    stranger = make(symmetric_encryption_keys=[OTHER_KEY], serializer_format=format_)
    mine, foreign = await new.new_channel(), await stranger.new_channel()
    await new.group_add("g", mine)
    await stranger.group_add("g", foreign)
    with client_of(clean_redis) as client, client.pubsub(ignore_subscribe_messages=True) as spy:  # type: ignore[no-untyped-call]  # redis-py
        spy.subscribe(new.group_address("g"))
        await until(lambda: subscribers_of(clean_redis, new.group_address("g")) == 3)
        await old.group_send("g", {"type": "m", "text": "a secret"})
        assert await receive(new, mine) == {"type": "m", "text": "a secret"}
        seen = next(message for _ in range(10) if (message := spy.get_message(timeout=1)))
    assert b"secret" not in seen["data"]
    await until(lambda: stranger.stats().received == 1)
    stranger.detach(foreign)
    waiting = asyncio.create_task(stranger.receive(foreign))
    await until(lambda: stranger.stats().undecodable == 1)
    waiting.cancel()


async def test_shards(clean_redis: str, make: Make) -> None:
    with own_redis() as second:
        hosts = [clean_redis, second.url]
        here, there = make(hosts=hosts), make(hosts=hosts)
        channel = await here.new_channel()
        groups = [f"group.{n}" for n in range(20)]
        await asyncio.gather(*(here.group_add(group, channel) for group in groups))
        owners = {
            url: {group for group in groups if subscribers_of(url, here.group_address(group)) == 1} for url in hosts
        }
        assert all(owners.values()), "all groups landed on one server"
        assert owners[hosts[0]] | owners[hosts[1]] == set(groups)
        assert not owners[hosts[0]] & owners[hosts[1]]
        await asyncio.gather(*(there.group_send(group, {"type": "m", "group": group}) for group in groups))
        assert {(await receive(here, channel))["group"] for _ in groups} == set(groups)
        await there.send(channel, {"type": "direct"})
        assert (await receive(here, channel))["type"] == "direct"
        await here.close()
        await there.close()


def test_each_loop_has_its_own_connections(clean_redis: str) -> None:
    """One layer object, used from several threads with a loop each, as a Channels process does."""
    layer = StreamingChannelLayer(hosts=[clean_redis])
    results: dict[int, Any] = {}

    async def talk(number: int) -> None:
        channel = await layer.new_channel()
        await layer.group_add(f"g{number}", channel)
        await layer.group_send(f"g{number}", {"type": "m", "n": number})
        results[number] = (await layer.receive(channel))["n"]

    threads = [threading.Thread(target=lambda n=n: asyncio.run(talk(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {n: n for n in range(4)}
    assert layer._layers == {}
    assert layer.stats().published == 4
    assert layer.stats().subscriptions == 0


def test_sync_code_leaves_nothing_open(clean_redis: str) -> None:
    """`async_to_sync` makes and closes a loop per call: each has to close its connections."""
    layer = StreamingChannelLayer(hosts=[clean_redis])
    with client_of(clean_redis) as client:
        before = {entry["id"] for entry in client.client_list()}
        for _ in range(5):
            async_to_sync(layer.group_send)("g", {"type": "m"})
        # Redis may not have read the last end yet.
        asyncio.run(until(lambda: {entry["id"] for entry in client.client_list()} <= before))
    assert layer._layers == {}
    assert layer.stats().published == 5


async def test_flush_makes_it_like_new(make: Make) -> None:
    layer, other = make(), make()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    await layer.flush()
    await other.group_send("g", {"type": "before"})
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    await other.group_send("g", {"type": "after"})
    assert (await receive(layer, channel))["type"] == "after"

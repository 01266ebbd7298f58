"""The channel layer does what Channels' specification and channels_redis' own tests ask of any layer."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.testing import WebsocketCommunicator

from chat.channel_layer import StreamingChannelLayer
from tests.integration.chat.channel_layer.layer_servers import client_of, own_redis, subscribers_of, until

Make = Callable[..., StreamingChannelLayer]
KEY, OLD_KEY, OTHER_KEY = "the key of today", "the key of yesterday", "somebody else's key"


@pytest.fixture
async def make(clean_redis: str) -> AsyncIterator[Make]:
    """Layers that are closed after the test; each counts as another process. Nothing of them may stay behind."""
    made: list[StreamingChannelLayer] = []

    def build(**config: Any) -> StreamingChannelLayer:
        made.append(StreamingChannelLayer(**{"hosts": [clean_redis]} | config))
        return made[-1]

    before = asyncio.all_tasks()
    yield build
    for layer in made:
        await layer.close()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


async def receive(layer: StreamingChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await layer.receive(channel)


async def nothing_for(layer: StreamingChannelLayer, channel: str) -> bool:
    """Whether the queue is empty once all that was published before has come: a later message overtakes nothing."""
    await layer.send(channel, {"type": "the.end"})
    return await receive(layer, channel) == {"type": "the.end"}


async def test_send_and_receive(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    message = {
        "type": "test.message",
        "text": "Ahoy-hoy! ☎",
        "bytes": b"\x00\xc1 \xff",
        "n": [1, 2.5, None, {"a": True}],
    }
    await layer.send(channel, message)
    assert await receive(layer, channel) == message


async def test_messages_of_one_sender_keep_their_order(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    for n in range(0, 30, 2):
        await layer.send(channel, {"type": "m", "n": n})
        await layer.group_send("g", {"type": "m", "n": n + 1})
    assert [(await receive(layer, channel))["n"] for _ in range(30)] == list(range(30))


async def test_a_waiting_receiver_is_woken(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    waiting = asyncio.create_task(receive(layer, channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "m"})
    assert await waiting == {"type": "m"}


async def test_each_message_goes_to_one_of_several_receivers(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    receivers = [asyncio.create_task(receive(layer, channel)) for _ in range(5)]
    await asyncio.sleep(0)
    for n in range(5):
        await layer.send(channel, {"type": "m", "n": n})
    assert sorted(message["n"] for message in await asyncio.gather(*receivers)) == [0, 1, 2, 3, 4]


async def test_another_process_reaches_a_channel_by_its_name(make: Make) -> None:
    here, there = make(), make()
    first, second = await here.new_channel(), await here.new_channel(prefix="another.")
    await there.send(first, {"type": "m", "n": 1})
    await there.send(second, {"type": "m", "n": 2})
    assert (await receive(here, second))["n"] == 2
    assert (await receive(here, first))["n"] == 1


async def test_a_channel_without_a_process_is_received_by_name(make: Make) -> None:
    """What `manage.py runworker` does: the name is the contract, the receiver comes first."""
    here, there = make(), make()
    waiting = asyncio.create_task(receive(here, "thumbnails"))
    await until(lambda: here.stats().subscriptions == 1)
    await until(lambda: subscribers_of(here.options.hosts[0]["address"], "asgi__channel__thumbnails") == 1)
    await there.send("thumbnails", {"type": "generate", "id": 1})
    assert (await waiting)["id"] == 1


async def test_groups(make: Make) -> None:
    layer = make()
    one, two, three = [await layer.new_channel(prefix=f"test-gr-chan-{n}.") for n in (1, 2, 3)]
    for channel in (one, two, three):
        await layer.group_add("test-group", channel)
    await layer.group_discard("test-group", two)
    await layer.group_send("test-group", {"type": "message.1"})
    assert (await receive(layer, one))["type"] == "message.1"
    assert (await receive(layer, three))["type"] == "message.1"
    assert await nothing_for(layer, two)


async def test_a_group_spans_processes(make: Make) -> None:
    members = [make() for _ in range(3)]
    channels = [await layer.new_channel() for layer in members]
    for layer, channel in zip(members, channels, strict=True):
        await layer.group_add("everyone", channel)
    await make().group_send("everyone", {"type": "m"})
    for layer, channel in zip(members, channels, strict=True):
        assert (await receive(layer, channel))["type"] == "m"


async def test_joining_twice_delivers_once_and_leaving_is_final(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    await layer.group_add("g", channel)
    await layer.group_send("g", {"type": "m"})
    assert (await receive(layer, channel))["type"] == "m"
    assert await nothing_for(layer, channel)
    await layer.group_discard("g", channel)
    await layer.group_discard("g", channel)
    await layer.group_discard("never-joined", channel)
    await layer.group_send("g", {"type": "m"})
    assert await nothing_for(layer, channel)


async def test_a_channel_may_be_in_many_groups(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await asyncio.gather(*(layer.group_add(f"g{n}", channel) for n in range(20)))
    await asyncio.gather(*(layer.group_send(f"g{n}", {"type": "m", "n": n}) for n in range(20)))
    assert {(await receive(layer, channel))["n"] for _ in range(20)} == set(range(20))


async def test_sending_to_nobody_is_no_error(make: Make) -> None:
    layer = make()
    await layer.group_send("nobody-here", {"type": "m"})
    await layer.send("specific.00000000000000000000000000000000!1", {"type": "m"})


async def test_only_local_channels_join(make: Make) -> None:
    here, there = make(), make()
    with pytest.raises(RuntimeError, match="not a channel of this event loop"):
        await here.group_add("g", await there.new_channel())


async def test_names_do_not_repeat_when_random_is_seeded(make: Make) -> None:
    layer, other = make(), make()
    names = set()
    for _ in range(3):
        random.seed(1)
        names |= {await layer.new_channel(), await other.new_channel()}
    assert len(names) == 6
    assert all(layer.require_valid_channel_name(name) for name in names)


async def test_receivers_share_nothing(make: Make) -> None:
    layer = make()
    one, two = await layer.new_channel(), await layer.new_channel()
    for channel in (one, two):
        await layer.group_add("g", channel)
    await layer.group_send("g", {"type": "m", "list": [1]})
    (await receive(layer, one))["list"].append(2)
    assert (await receive(layer, two))["list"] == [1]


@pytest.mark.parametrize(("prefix", "capacity"), [("narrow.", 3), ("wide.", 5)])
async def test_a_full_channel_refuses(make: Make, prefix: str, capacity: int) -> None:
    layer = make(capacity=3, channel_capacity={"wide.*": 5})
    channel = await layer.new_channel(prefix)
    for _ in range(capacity):
        await layer.send(channel, {"type": "m"})
    await until(lambda: layer.stats().dispatched == capacity)
    with pytest.raises(ChannelFull):
        await layer.send(channel, {"type": "m"})
    await receive(layer, channel)
    await layer.send(channel, {"type": "m"})


BAD_NAMES = ["", "with space", "with!two!marks", "ümlaut", "a" * 100, "semi;colon", b"bytes", None, 7]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_bad_names_are_refused(make: Make, name: Any) -> None:
    layer = make()
    channel = await layer.new_channel()
    for call in (
        lambda: layer.send(name, {"type": "m"}),
        lambda: layer.receive(name),
        lambda: layer.group_send(name, {"type": "m"}),
        lambda: layer.group_add(name, channel),
        lambda: layer.group_discard(name, channel),
    ):
        with pytest.raises(TypeError):
            await call()


@pytest.mark.parametrize("message", [None, "text", [("type", "m")], b"bytes"])
async def test_only_dicts_are_messages(make: Make, message: Any) -> None:
    layer = make()
    with pytest.raises(TypeError):
        await layer.group_send("g", message)
    with pytest.raises(TypeError):
        await layer.send("c", message)


async def test_a_cancelled_receive_releases_the_channel(make: Make) -> None:
    """Channels has no other call that ends a channel."""
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    consumer = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert (layer.stats().channels, layer.stats().groups) == (0, 0)
    await until(lambda: subscribers_of(layer.options.hosts[0]["address"], layer.group_address("g")) == 0)


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


class Echo(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # Channels is untyped
    groups = ["echo"]  # noqa: RUF012 - Channels' own name

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("echo", {"type": "heard", "text": content["text"]})

    async def heard(self, message: dict[str, Any]) -> None:
        await self.send_json(message["text"])


@pytest.mark.django_db  # Channels looks at connections that threads have, which may be from earlier tests
async def test_an_ordinary_consumer_works_unchanged(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make()
    monkeypatch.setattr("channels.consumer.get_channel_layer", lambda alias: layer)
    sockets = [WebsocketCommunicator(Echo.as_asgi(), "/") for _ in range(3)]
    for socket in sockets:
        assert (await socket.connect())[0]
    await sockets[0].send_json_to({"text": "hello"})
    for socket in sockets:
        assert await socket.receive_json_from(timeout=5) == "hello"
        await socket.disconnect()
    assert layer.stats().channels == 0
    assert layer.stats().groups == 0


def test_it_imports_nothing_of_this_project() -> None:
    """Another project copies the folder. Neither settings nor the app registry are needed to import it."""
    code = (
        "import sys, chat.channel_layer\n"
        "ours = {'chat', 'accounts', 'workers', 'config'}\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ours and not m.startswith('chat.channel_layer')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "['chat']"

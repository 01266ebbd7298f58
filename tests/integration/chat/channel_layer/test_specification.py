"""The channel layer does what Channels' specification and channels_redis' own tests ask of any layer."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from typing import Any

import pytest
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.testing import WebsocketCommunicator

from chat.channel_layer import StreamingChannelLayer
from tests.integration.chat.channel_layer.inboxes import receive
from tests.integration.chat.channel_layer.layer_servers import Make, subscribers_of, until


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

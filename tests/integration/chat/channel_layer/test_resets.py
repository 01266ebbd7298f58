"""What members are told when a connection is lost or refused, and that a failing one holds up no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.exceptions

from config.stack.valkey import PrivateValkey
from tests.integration.chat.channel_layer.inboxes import join
from tests.integration.chat.channel_layer.layer_servers import (
    Make,
    client_of,
    command,
    own_redis,
    subscribers_of,
    until,
)

RESET = {"type": "layer.reset"}


@pytest.mark.parametrize("told", ["message", "function", "coroutine"])
async def test_callbacks(make_layer: Make, server: PrivateValkey, told: str) -> None:
    heard: list[str] = []

    async def hear(what: str) -> None:
        heard.append(what)

    configs: dict[str, dict[str, Any]] = {
        "message": {"on_disconnect": "redis.down", "on_reconnect": "redis.up", "reset_type": None},
        "function": {"on_disconnect": lambda: heard.append("down"), "on_reconnect": lambda: heard.append("up")},
        "coroutine": {"on_disconnect": lambda: hear("down"), "on_reconnect": lambda: hear("up")},
    }
    layer = make_layer(**configs[told])
    inbox = await join(layer, "g")
    queued = await layer.new_channel()
    server.kill()
    server.start()
    await until(lambda: layer.stats().reconnects == 1)
    if told == "message":
        assert inbox == [{"type": "redis.down"}, {"type": "redis.up"}]
        assert [await layer.receive(queued) for _ in inbox] == inbox
        assert layer.stats().resets == 0
    else:
        await until(lambda: len(heard) == 2)
        assert heard == ["down", "up"]
        assert inbox == [RESET]


async def test_a_failing_callback_stops_nothing(
    make_layer: Make, server: PrivateValkey, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("in a coroutine")

    def fail_at_once() -> None:
        raise ZeroDivisionError("at once")

    layer = make_layer(on_disconnect=fail_at_once, on_reconnect=fail)
    inbox = await join(layer, "g")
    server.kill()
    server.start()
    await until(lambda: inbox == [RESET])
    await until(lambda: "in a coroutine" in caplog.text and "at once" in caplog.text)


async def test_a_full_queue_does_not_drop_the_reset(make_layer: Make, server: PrivateValkey) -> None:
    layer = make_layer(capacity=2)
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    with client_of(server.url) as client:
        command(client, "CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: layer.stats().resets == 1)
    for n in range(10):
        await layer.group_send("g", {"type": "m", "n": n})
    await until(lambda: layer.stats().dispatched == 10)
    assert [await layer.receive(channel) for _ in range(3)] == [RESET, {"type": "m", "n": 8}, {"type": "m", "n": 9}]


async def test_a_lost_shard_resets_and_the_other_goes_on(make_layer: Make, server: PrivateValkey) -> None:
    with own_redis() as second:
        layer = make_layer(hosts=[server.url, second.url])
        inboxes = {f"g{n}": await join(layer, f"g{n}") for n in range(10)}
        second.kill()
        on_first = [group for group in inboxes if subscribers_of(server.url, layer.group_address(group))]
        assert 0 < len(on_first) < 10
        for group in on_first:
            await layer.group_send(group, {"type": "m"})
        await until(lambda: all(inboxes[group] == [{"type": "m"}] for group in on_first))
        second.start()
        await until(lambda: all(inbox[-1:] == [RESET] for inbox in inboxes.values()))
        await layer.close()


async def test_wrong_credentials_fail_at_once(make_layer: Make, server: PrivateValkey) -> None:
    with client_of(server.url) as client:
        client.config_set("requirepass", "right")
        layer = make_layer(hosts=[f"{server.url}?password=wrong"])
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(redis.exceptions.AuthenticationError):
            await layer.group_send("g", {"type": "m"})
        with pytest.raises(redis.exceptions.AuthenticationError):
            await layer.new_channel()
        assert loop.time() - began < 2
        right = make_layer(hosts=[f"{server.url}?password=right"])
        inbox = await join(right, "g")
        await right.group_send("g", {"type": "m"})
        await until(lambda: inbox == [{"type": "m"}])
        command(client, "AUTH", "right")
        client.config_set("requirepass", "")


async def test_a_forbidden_group_fails_alone(make_layer: Make, server: PrivateValkey) -> None:
    """An ACL that does not allow the Redis channel: the join raises, the connection stays."""
    with client_of(server.url) as client:
        command(
            client, "ACL", "SETUSER", "few", "on", ">pw", "+@all", "~*", "resetchannels", "&asgi__process__*",
            "&asgi__group__open*",
        )  # fmt: skip
    layer = make_layer(hosts=[f"{server.url}?username=few&password=pw"])
    inbox = await join(layer, "open")
    channel = await layer.new_channel()
    with pytest.raises(redis.exceptions.NoPermissionError):
        await layer.group_add("closed", channel)
    with pytest.raises(redis.exceptions.NoPermissionError):
        await layer.group_send("closed", {"type": "m"})
    await layer.group_send("open", {"type": "m"})
    await until(lambda: inbox == [{"type": "m"}])
    assert layer.stats().reconnects == 0
    assert layer.stats().groups == 1

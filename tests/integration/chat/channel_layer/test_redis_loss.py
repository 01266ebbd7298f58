"""Redis dies, hangs up, freezes, comes back: everybody is told, everything goes on, nothing waits for ever."""

from __future__ import annotations

import asyncio

import pytest
import redis.exceptions

from config.stack.valkey import PrivateValkey
from tests.integration.chat.channel_layer.inboxes import join
from tests.integration.chat.channel_layer.layer_servers import (
    Make,
    calls_of,
    client_of,
    command,
    frozen,
    subscribers_of,
    until,
)

RESET = {"type": "layer.reset"}


async def test_a_killed_redis_resets_every_channel_once_all_is_subscribed_again(
    make_layer: Make, server: PrivateValkey
) -> None:
    layer = make_layer()
    inboxes = [await join(layer, f"g{n}") for n in range(30)]
    queued = await layer.new_channel()
    at_reset: list[int] = []
    channel = await layer.new_channel()
    layer.attach(
        channel,
        lambda _: at_reset.extend(subscribers_of(server.url, layer.group_address(f"g{n}")) for n in range(30)),
    )
    server.kill()
    server.start()
    await until(lambda: all(inbox == [RESET] for inbox in inboxes))
    assert at_reset == [1] * 30, "told before the subscriptions were live"
    async with asyncio.timeout(5):
        assert await layer.receive(queued) == RESET
    await asyncio.gather(*(layer.group_send(f"g{n}", {"type": "m", "n": n}) for n in range(30)))
    await until(lambda: all(len(inbox) == 2 for inbox in inboxes))
    assert [inbox[1]["n"] for inbox in inboxes] == list(range(30))
    stats = layer.stats()
    assert (stats.reconnects, stats.resets) == (1, 32)


async def test_the_first_publication_after_a_restart_succeeds(make_layer: Make, server: PrivateValkey) -> None:
    """The stock layer fails here, once per process."""
    layer = make_layer()
    for _ in range(3):
        await layer.group_send("g", {"type": "m"})
        assert await layer.group_connection("g").echo("a") == b"a"
        server.kill()
        server.start()
        await layer.group_send("g", {"type": "m"})
        assert await layer.group_connection("g").echo("b") == b"b"


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_cut_connections_are_made_again(make_layer: Make, server: PrivateValkey, kind: str) -> None:
    layer = make_layer()
    inbox = await join(layer, "g")
    await layer.group_send("g", {"type": "m", "n": 0})
    await until(lambda: len(inbox) == 1)
    with client_of(server.url) as client:
        assert command(client, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") == 1
    if kind == "pubsub":
        await until(lambda: inbox[-1] == RESET)
    await until(lambda: subscribers_of(server.url, layer.group_address("g")) == 1)
    await layer.group_send("g", {"type": "m", "n": 1})
    await until(lambda: inbox[-1] == {"type": "m", "n": 1})
    assert layer.stats().resets == (1 if kind == "pubsub" else 0)


async def test_a_reader_cut_for_slowness_is_reset(make_layer: Make, server: PrivateValkey) -> None:
    """Redis hangs up on a subscriber that lets too much pile up (client-output-buffer-limit)."""
    layer = make_layer()
    inbox = await join(layer, "g")
    with client_of(server.url) as client:
        client.config_set("client-output-buffer-limit", "pubsub 262144 0 0")
        connection = layer._get_layer()._shards[0].subscriber._connection
        transport = connection._transport  # type: ignore[union-attr]  # the fast way's, which the test relies on
        transport.pause_reading()
        payload = layer.serialize({"type": "m", "x": "x" * 10_000})
        for _ in range(500):
            if not client.publish(layer.group_address("g"), payload):
                break
        else:
            pytest.fail("Redis kept the slow reader")
        transport.resume_reading()
    await until(lambda: inbox and inbox[-1] == RESET)
    await layer.group_send("g", {"type": "after"})
    await until(lambda: inbox[-1]["type"] == "after")


async def test_a_frozen_redis_is_noticed_and_survived(make_layer: Make, server: PrivateValkey) -> None:
    """Half open: no error, no end, just silence."""
    events: list[str] = []
    layer = make_layer(
        timeout=0.4,
        ping_interval=0.4,
        on_disconnect=lambda: events.append("down"),
        on_reconnect=lambda: events.append("up"),
    )
    inbox = await join(layer, "g")
    with frozen(server):
        await until(lambda: events == ["down"])
        with pytest.raises(redis.exceptions.TimeoutError):
            await layer.new_channel()  # no name is given out that nobody would hear
    await until(lambda: events == ["down", "up"])
    assert inbox == [RESET]
    await layer.group_send("g", {"type": "m"})
    await until(lambda: inbox[-1] == {"type": "m"})


async def test_an_idle_connection_is_checked_and_kept(make_layer: Make, server: PrivateValkey) -> None:
    layer = make_layer(timeout=0.2, ping_interval=0.05)
    inbox = await join(layer, "g")
    await layer.group_send("g", {"type": "m"})
    before = calls_of(server.url, "ping")
    await until(lambda: calls_of(server.url, "ping") >= before + 20)
    assert inbox == [{"type": "m"}]
    assert layer.stats().reconnects == 0


async def test_a_demoted_master_is_left(make_layer: Make, server: PrivateValkey) -> None:
    """After a failover the old connection may lead to a replica. A new one asks Sentinel, where there is one."""
    layer = make_layer()
    await layer.group_execute("g", "SET", "k", "v")
    publisher = layer._get_layer()._shards[0].publisher
    old = publisher._connection
    with client_of(server.url) as client:
        command(client, "REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(redis.exceptions.ReadOnlyError):
            await layer.group_execute("g", "SET", "k", "v")
        await until(lambda: publisher._connection is not old)
        command(client, "REPLICAOF", "NO", "ONE")
    assert await layer.group_execute("g", "SET", "k", "v") == b"OK"


async def test_joins_during_an_outage_raise_in_time_or_succeed_when_it_ends(
    make_layer: Make, server: PrivateValkey
) -> None:
    layer = make_layer(timeout=0.5)
    channel = await layer.new_channel()
    await layer.group_add("member", channel)
    server.kill()
    await until(lambda: layer._get_layer()._shards[0].subscriber._connection is None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await asyncio.gather(
        layer.group_add("g", channel),
        layer.group_add("member", channel),
        layer.new_channel(),
        layer.group_send("g", {"type": "m"}),
        return_exceptions=True,
    )
    assert loop.time() - began < 1.5
    assert {type(result) for result in results} == {redis.exceptions.TimeoutError}
    assert isinstance(results[0].__cause__, redis.exceptions.ConnectionError)  # type: ignore[union-attr]
    # What failed left nothing behind; what was there stays.
    assert (layer.stats().channels, layer.stats().groups) == (1, 1)

    patient = make_layer(timeout=5)
    waiting = [
        asyncio.create_task(patient.new_channel()),
        asyncio.create_task(patient.group_send("g", {"type": "m"})),
    ]
    await asyncio.sleep(0)
    server.start()
    await asyncio.gather(*waiting)
    await until(lambda: subscribers_of(server.url, layer.group_address("member")) == 1)
    await layer.group_add("g", channel)


async def test_a_member_that_leaves_during_an_outage_stays_out(make_layer: Make, server: PrivateValkey) -> None:
    layer = make_layer()
    channel = await layer.new_channel()
    for group in ("stays", "leaves"):
        await layer.group_add(group, channel)
    server.kill()
    await until(lambda: layer._get_layer()._shards[0].subscriber._connection is None)
    await layer.group_discard("leaves", channel)
    server.start()
    async with asyncio.timeout(10):
        assert await layer.receive(channel) == RESET
    assert subscribers_of(server.url, layer.group_address("stays")) == 1
    assert subscribers_of(server.url, layer.group_address("leaves")) == 0
    assert layer.stats().subscriptions == 2


async def test_a_command_that_was_not_written_waits_for_the_next_connection(
    make_layer: Make, server: PrivateValkey
) -> None:
    layer = make_layer()
    await layer.group_execute("g", "SET", "n", 0)
    publisher = layer._get_layer()._shards[0].publisher
    with frozen(server):
        written = asyncio.create_task(layer.group_execute("g", "INCR", "n"))
        await until(lambda: publisher._sent)
        assert publisher._connection is not None
        publisher._connection.abort(redis.exceptions.ConnectionError("cut"))
        unwritten = asyncio.create_task(layer.group_execute("g", "ECHO", "later"))
        with pytest.raises(redis.exceptions.ConnectionError, match="cut"):
            await written
    assert await unwritten == b"later"


async def test_a_written_command_fails_and_is_not_repeated(make_layer: Make, server: PrivateValkey) -> None:
    layer = make_layer()
    await layer.group_execute("g", "SET", "n", 0)
    with frozen(server):
        increments = [asyncio.create_task(layer.group_execute("g", "INCR", "n")) for _ in range(5)]
        await until(lambda: layer._get_layer()._shards[0].publisher._sent)
        connection = layer._get_layer()._shards[0].publisher._connection
        assert connection is not None
        connection.abort(redis.exceptions.ConnectionError("cut"))
        await asyncio.wait(increments)
    results = await asyncio.gather(*increments, return_exceptions=True)
    assert all(isinstance(result, redis.exceptions.ConnectionError) for result in results)
    with client_of(server.url) as client:
        assert client.get("n") in (b"0", b"5")  # Redis may have read them, but never twice
    assert layer.stats().pending_bytes == 0

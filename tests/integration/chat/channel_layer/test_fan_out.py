"""What live events cost with many web processes: it grows with those who follow, not with processes × conversations.

Each layer here is a web process of its own to Redis, with its own connections and subscriptions.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat.channel_layer import StreamingChannelLayer
from tests.fixtures.measurements import measured
from tests.integration.chat.channel_layer.layer_servers import Make, client_of

CONVERSATIONS = 200


@pytest.mark.parametrize("processes", [2, 16, 64])
async def test_an_event_goes_once_to_each_process_with_a_follower(make: Make, clean_redis: str, processes: int) -> None:
    """200 conversations, each followed on two processes by three sockets in all; every conversation has one event."""
    layers: list[StreamingChannelLayer] = [make() for _ in range(processes)]
    writer = make()
    inboxes: list[list[dict[str, Any]]] = []
    for number in range(CONVERSATIONS):
        for layer in (layers[number % processes], layers[number % processes], layers[(number + 1) % processes]):
            channel = await layer.new_channel()
            inboxes.append([])
            layer.attach(channel, inboxes[-1].append)
            await layer.group_add(f"conversation.{number}", channel)
    before = _redis_cpu(clean_redis)
    for number in range(CONVERSATIONS):
        await writer.group_send(f"conversation.{number}", {"type": "x", "n": number})
    async with asyncio.timeout(10):
        while not all(inboxes):
            await asyncio.sleep(0.01)
    used = _redis_cpu(clean_redis) - before
    measured(f"Redis's CPU for each event with {processes} web processes, µs", round(used / CONVERSATIONS * 1e6))
    assert all(len(inbox) == 1 for inbox in inboxes)
    received = [layer.stats().received for layer in layers]
    assert sum(received) == 2 * CONVERSATIONS, "not processes × conversations"
    assert max(received) <= 2 * CONVERSATIONS / processes + 2, "each process reads its share"
    assert sum(layer.stats().dispatched for layer in layers) == 3 * CONVERSATIONS


def _redis_cpu(url: str) -> float:
    """Seconds of CPU that Redis has taken so far."""
    with client_of(url) as client:
        info: Any = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])

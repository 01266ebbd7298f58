"""What channels and members of groups get."""

from __future__ import annotations

import asyncio
from typing import Any

from chat.channel_layer import StreamingChannelLayer


async def join(layer: StreamingChannelLayer, group: str) -> list[dict[str, Any]]:
    """A new member of the group; the list gets what it is sent."""
    inbox: list[dict[str, Any]] = []
    channel = await layer.new_channel()
    layer.attach(channel, inbox.append)
    await layer.group_add(group, channel)
    return inbox


async def receive(layer: StreamingChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await layer.receive(channel)

"""Frames outside any log, for all sockets of one user (protocol §2, replies and notices)."""

from __future__ import annotations

import uuid
from typing import Any

from chat.log import channel_layer
from chat.protocol import encode


def user_group(user_id: uuid.UUID) -> str:
    return f"user.{user_id.hex}"


async def conversation_listed(user_id: uuid.UUID, listing: dict[str, Any]) -> None:
    """Something changed in the user's list of conversations: one is new, renamed, deleted, or has a new message."""
    frame = encode({"type": "conversation.listed", "deleted": False, **listing})
    await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": frame})

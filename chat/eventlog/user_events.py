"""Frames outside any log, for all sockets of one user (protocol §2, replies and notices)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import redis
import structlog

from accounts.auth.revocation import user_group
from accounts.quotas.balance import Balance
from chat.eventlog.store import channel_layer
from chat.protocol.frames import encode

logger = structlog.get_logger(__name__)


async def quotas_near(user_id: uuid.UUID, quotas: Sequence[Balance]) -> None:
    """Something of the user's is nearly or quite used up. Light: what is lost is said again after the next answer."""
    frame = encode({"type": "quota", "quotas": [balance.frame() for balance in quotas]})
    try:
        await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": frame})
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="quota", error=type(error).__name__)


async def conversation_listed(user_id: uuid.UUID, listing: dict[str, Any]) -> None:
    """Something changed in the user's list of conversations: one is new, renamed, deleted, or has a new message."""
    frame = encode({"type": "conversation.listed", "deleted": False, **listing})
    await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": frame})

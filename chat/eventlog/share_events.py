"""Makes the web processes check the share links of conversations at once: who may no longer read stops to get events.

If the message is lost, they find out when they next check by themselves (`chat.realtime.watching`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Final

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from django.db import transaction

from chat.eventlog import store

SEND_SECONDS: Final = 2.0

logger = structlog.get_logger(__name__)


def recheck_shares_on_commit(conversation_ids: Iterable[uuid.UUID]) -> None:
    """Calls `recheck_shares` once the transaction has ended. Not to be called on the thread of an event loop."""
    found = set(conversation_ids)
    if found:
        transaction.on_commit(partial(recheck_shares, found), robust=True)


def recheck_shares(conversation_ids: Iterable[uuid.UUID]) -> None:
    """Something has changed that may end the share links of these conversations."""

    async def send() -> None:
        async with asyncio.timeout(SEND_SECONDS):
            for one in conversation_ids:
                await store.channel_layer().group_send(store.group_name(one), {"type": "share.check"})

    try:
        async_to_sync(send)()
    except (redis.RedisError, OSError, TimeoutError, ChannelFull) as error:
        logger.warning("share_check_not_published", error=type(error).__name__)

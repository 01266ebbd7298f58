"""Tells the sockets of somebody who is a member no longer, whoever took them out: the admin, a command, a shell.

The row is the truth and every command asks it; but a socket that follows a conversation gets its events unasked. Should
the message be lost, sockets look themselves whenever they look after their session (`Subscriptions.check_access`).
"""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import Any

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.dispatch import receiver

from accounts.auth.revocation import user_group
from chat.eventlog import store
from chat.models import Member

SEND_SECONDS = 2.0

logger = structlog.get_logger(__name__)


@receiver(post_delete, sender=Member)
def tell_removed(sender: type[Member], instance: Member, origin: Any, **_: Any) -> None:
    """Not where the conversation or the user goes altogether: then there is nothing to follow, or nobody logged in."""
    if isinstance(origin, Member) or (isinstance(origin, QuerySet) and origin.model is Member):
        transaction.on_commit(partial(_tell, instance.user_id, instance.conversation_id), robust=True)


def _tell(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    async def send() -> None:
        async with asyncio.timeout(SEND_SECONDS):
            message = {"type": "access.removed", "c": conversation_id.bytes}
            await store.channel_layer().group_send(user_group(user_id), message)

    try:
        async_to_sync(send)()
    except (redis.RedisError, OSError, TimeoutError, ChannelFull) as error:
        logger.warning("removal_not_announced", conversation=str(conversation_id), error=type(error).__name__)

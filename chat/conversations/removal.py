"""Notifies the sockets of a user whose membership was deleted, whether by the admin, a command or a shell.

Every command checks the row, but a subscribed socket receives events without a command. A notification that cannot be
sent is followed by a request to check (`accounts.auth.later_checks`). If both are lost, the socket notices when it next
checks its session (`chat.realtime.upkeep`).
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

from accounts.auth.later_checks import check_later
from accounts.auth.revocation import user_group
from chat.eventlog import store
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.models import Member

SEND_SECONDS = 2.0

logger = structlog.get_logger(__name__)


@receiver(post_delete, sender=Member)
def notify_removed_member(sender: type[Member], instance: Member, origin: Any, **_: Any) -> None:
    """For the signal `post_delete`. Does nothing when the conversation or the user itself is deleted."""
    if isinstance(origin, Member) or (isinstance(origin, QuerySet) and origin.model is Member):
        transaction.on_commit(partial(_notify, instance.user_id, instance.conversation_id), robust=True)
        recheck_shares_on_commit([instance.conversation_id])


def _notify(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    async def send() -> None:
        async with asyncio.timeout(SEND_SECONDS):
            message = {"type": "access.removed", "c": conversation_id.bytes}
            await store.channel_layer().group_send(user_group(user_id), message)

    try:
        async_to_sync(send)()
    except (redis.RedisError, OSError, TimeoutError, ChannelFull) as error:
        logger.warning("removal_not_published", conversation=str(conversation_id), error=type(error).__name__)
        check_later([user_group(user_id)])

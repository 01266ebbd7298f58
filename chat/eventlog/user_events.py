"""Frames for all sockets of one user. They are not in any event log (docs/protocol.md §2)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import redis
import structlog

from accounts.auth.revocation import user_group
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.quotas.balance import Balance
from accounts.quotas.sharers import sharers_online
from chat.eventlog.store import channel_layer
from chat.models import Conversation
from chat.protocol.frames import encode

logger = structlog.get_logger(__name__)


async def notify_quotas_low(user_id: uuid.UUID, quotas: Sequence[Balance]) -> None:
    """Notifies a user of quotas that are nearly or fully used up. If it is lost, the next answer repeats it."""
    frame = encode({"type": "quota", "quotas": [balance.frame() for balance in quotas]})
    try:
        await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": frame})
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="quota", error=type(error).__name__)


async def notify_sharers(user_id: uuid.UUID, quotas: Sequence[Balance]) -> None:
    """Notifies the others who share these quotas, and are online, that a run of this user has drained them."""
    try:
        for person, shared in await in_db(sharers_online, user_id, quotas):
            await notify_quotas_low(person, shared)
    except OUTAGE as error:
        logger.warning("notice_lost", kind="quota", error=type(error).__name__)


async def notify_cost(user_id: uuid.UUID, conversation_id: uuid.UUID, message_id: uuid.UUID, cost: str) -> None:
    """Tells the payer what an answer cost. If it is lost, the page shows it when it next loads."""
    frame = {
        "type": "run.cost",
        "conversation_id": str(conversation_id),
        "message_id": str(message_id),
        "cost": cost,
    }
    try:
        await notify_user(user_id, frame)
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="run.cost", error=type(error).__name__)


def listing_of(conversation: Conversation) -> dict[str, Any]:
    """What `conversation.listed` says of a conversation, as it is in the row."""
    return {
        "conversation_id": str(conversation.pk),
        "title": conversation.title,
        "updated_at": conversation.updated_at.isoformat(),
        "temporary": conversation.temporary,
        "pinned": conversation.pinned_at is not None,
        "deleted": conversation.deleted_at is not None,
    }


async def notify_conversation_listed(user_id: uuid.UUID, listing: dict[str, Any]) -> None:
    """Notifies a user of a change in their list: a conversation is new, renamed, deleted, or has a new message."""
    frame = encode({"type": "conversation.listed", "deleted": False, **listing})
    await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": frame})


async def notify_user(user_id: uuid.UUID, frame: dict[str, Any]) -> None:
    """Sends a frame to every open page of a user."""
    await channel_layer().group_send(user_group(user_id), {"type": "notice", "frame": encode(frame)})


async def notify_list_changed(user_id: uuid.UUID) -> None:
    """Tells every open page of a user that their own order of the list has changed: folders, tags, the archive.

    Raises nothing: a page that misses it reads the list again when it next connects.
    """
    try:
        await notify_user(user_id, {"type": "list.changed"})
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="list.changed", error=type(error).__name__)


async def notify_transfer(
    user_id: uuid.UUID, transfer_id: uuid.UUID, kind: str, state: str, done: int, total: int
) -> None:
    """Tells every open page of a user how far an import or export is, in conversations.

    Raises nothing: a page that misses it asks for the state now and then.
    """
    frame = {"type": "transfer", "id": str(transfer_id), "kind": kind, "state": state, "done": done, "total": total}
    try:
        await notify_user(user_id, frame)
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="transfer", error=type(error).__name__)

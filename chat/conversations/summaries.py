"""Stores the summaries of conversations, and lets members undo them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from asgiref.sync import async_to_sync
from django.db import transaction

from chat.conversations.membership import member_of
from chat.eventlog import events, store
from chat.eventlog.payloads import summary_dict
from chat.models import Conversation, Message, Summary
from chat.protocol.errors import NotFound

logger = structlog.get_logger(__name__)


def may_summarise(conversation_id: uuid.UUID, branch: Sequence[uuid.UUID]) -> bool:
    """Whether a summary may be made on this branch: not once a member has undone one there."""
    return not Summary.objects.filter(conversation=conversation_id, last__in=branch, used=False).exists()


def store_summary(
    conversation_id: uuid.UUID,
    covered: Sequence[tuple[uuid.UUID, str]],
    *,
    already: int,
    previous: uuid.UUID | None,
    text: str,
    model: str,
) -> Summary | None:
    """Stores a summary of these messages (id and text, oldest first) and of `already` ones before them, which the
    summary `previous` covers.

    None if it is of something that is not there any more: a message was deleted or changed, or the previous summary
    was undone or dropped. The messages stay locked until it is stored, so an erasure comes before or after.
    """
    ids = [one for one, _ in covered]
    with transaction.atomic():
        found = dict(
            Message.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=ids).values_list("pk", "text")
        )
        if any(found.get(one) != text for one, text in covered):
            return None
        if previous is not None and not Summary.objects.select_for_update().filter(pk=previous, used=True).exists():
            return None
        if not Conversation.objects.filter(pk=conversation_id, deleted_at=None).exists():
            return None
        values = {
            "conversation_id": conversation_id,
            "messages": already + len(ids),
            "text": text,
            "model": model,
            "used": True,
        }
        summary, _ = Summary.objects.update_or_create(last_id=ids[-1], defaults=values)
        return summary


def use_summary(user_id: uuid.UUID, conversation_id: uuid.UUID, summary_id: uuid.UUID, *, used: bool) -> dict[str, Any]:
    """Undoes a summary, or uses it again, and tells every open tab. Returns it as it is sent to clients.

    Once undone, models get the messages themselves again: the summaries before it are undone, too. Raises `NotFound`,
    `Forbidden`.
    """
    member_of(user_id, conversation_id, write=True)
    with transaction.atomic():
        rows = Summary.objects.filter(conversation=conversation_id)
        summary = rows.select_related("last").filter(pk=summary_id).first()
        if summary is None:
            raise NotFound
        summary.used = used
        changed = rows.filter(pk=summary.pk)
        if not used:
            changed = rows.filter(last__created_at__lte=summary.last.created_at)
        changed.update(used=used)
    _publish(summary)
    return summary_dict(summary)


def _publish(summary: Summary) -> None:
    try:
        async_to_sync(store.append)(store.Append(summary.conversation_id, [events.summary_changed(summary)]))
    except (redis.RedisError, OSError) as error:
        logger.warning("summary_not_published", error=type(error).__name__)

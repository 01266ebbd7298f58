"""Renames, pins, deletes and restores a conversation, for all its members. `listing` reads a user's list."""

from __future__ import annotations

import uuid
from typing import Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.utils import timezone
from django.utils.translation import gettext as _

from chat.conversations.membership import conversations_of, member_of
from chat.eventlog import events, store
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.eventlog.user_events import listing_of, notify_conversation_listed
from chat.models import Conversation, Member, Role
from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Forbidden, Invalid, NotFound
from chat.runs.clock import database_time

logger = structlog.get_logger(__name__)

MAX_TITLE: Final = 200
MAX_PINS: Final = 50  # of one user; the first page of the list has all of them


def rename(user_id: uuid.UUID, conversation_id: uuid.UUID, title: str) -> str:
    """Renames a conversation for all members; returns the title. Raises `NotFound`, `Forbidden`, `Invalid`,
    `Moderated`.
    """
    conversation = member_of(user_id, conversation_id, write=True).conversation
    title = " ".join(clean_controls(title).split())
    if not title:
        raise Invalid(_("Enter a title."))
    conversation.title = screen_field(
        title[:MAX_TITLE],
        user_id,
        CaseTarget.TITLE,
        conversation_id,
        conversation_id=conversation_id,
        longest=MAX_TITLE,
    )
    conversation.save(update_fields=["title"])
    notify_members(conversation, renamed=True)
    return conversation.title


def pin(user_id: uuid.UUID, conversation_id: uuid.UUID, *, pinned: bool) -> None:
    """Pins a conversation at the top of its members' lists, or unpins it. Pinned ones do not expire by age
    (`chat.retention`). Raises `NotFound`, `Forbidden`, `Invalid`.
    """
    conversation = member_of(user_id, conversation_id, write=True).conversation
    if conversation.temporary:
        raise Invalid(_("Temporary chats cannot be pinned."))
    if pinned == (conversation.pinned_at is not None):
        return
    if pinned and conversations_of(user_id).exclude(pinned_at=None).count() >= MAX_PINS:
        raise Invalid(_("You can pin up to %(max_pins)s conversations. Unpin one first.") % {"max_pins": MAX_PINS})
    conversation.pinned_at = timezone.now() if pinned else None
    conversation.save(update_fields=["pinned_at"])
    notify_members(conversation)


def delete(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    """Moves a conversation to the trash. Raises `NotFound`, or `Forbidden` for a member who is not an owner."""
    member = member_of(user_id, conversation_id)
    if member.role != Role.OWNER:
        raise Forbidden(_("Only an owner can delete this conversation."))
    member.conversation.deleted_at = database_time()  # the purge counts from it
    member.conversation.save(update_fields=["deleted_at"])
    recheck_shares_on_commit([conversation_id])
    notify_members(member.conversation, deleted=True)


def restore(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    """Restores a conversation from the trash. Raises `NotFound` when it is not there."""
    member = (
        Member.objects.select_related("conversation")
        .filter(user_id=user_id, conversation_id=conversation_id, role=Role.OWNER)
        .exclude(conversation__deleted_at=None)
        .first()
    )
    if member is None:
        raise NotFound
    member.conversation.deleted_at = None
    member.conversation.save(update_fields=["deleted_at"])
    notify_members(member.conversation)


def notify_members(conversation: Conversation, *, renamed: bool = False, deleted: bool = False) -> None:
    """Notifies every open tab of every member. Without Redis, tabs see the change when they next load."""
    listing = {**listing_of(conversation), "deleted": deleted}
    members = list(Member.objects.filter(conversation=conversation).values_list("user_id", flat=True))

    updated = [events.conversation_updated(conversation)] if renamed else []

    async def notify() -> None:
        if updated:
            await store.append(store.Append(conversation.id, updated))
        for member in members:
            await notify_conversation_listed(member, listing)

    try:
        async_to_sync(notify)()
    except (redis.RedisError, OSError) as error:
        logger.warning("listing_not_published", error=type(error).__name__)

"""A user's list of conversations: reads it page by page; renames, pins, deletes and restores entries."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

import redis
import structlog
from asgiref.sync import async_to_sync
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from chat.conversations.membership import conversations_of, member_of
from chat.eventlog import events, store
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.eventlog.user_events import notify_conversation_listed
from chat.models import Conversation, Member, Role
from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.notifications.marks import NO_MARK, Mark, read_marks
from chat.protocol.errors import Forbidden, Invalid, NotFound

logger = structlog.get_logger(__name__)

PAGE: Final = 40
MAX_PAGE: Final = 500
MAX_TITLE: Final = 200
MAX_PINS: Final = 50  # of one user; the first page of the list has all of them


@dataclass(frozen=True, slots=True)
class Item:
    id: uuid.UUID
    title: str
    updated_at: datetime.datetime
    pinned: bool = False
    mark: Mark = NO_MARK


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading: the pinned ones, then by time."""

    label: str
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list. `next` continues it, empty at the end; `is_page` when it is not the first."""

    groups: list[Group] = field(default_factory=list)
    next: str = ""
    is_page: bool = False
    mentioned_in: Collection[uuid.UUID] = ()  # conversations with a mention that the user has not seen

    @property
    def version(self) -> str:
        """Another one whenever the list shows anything else: a page that was just loaded asks whether it still fits."""
        shown = [(group.label, group.items) for group in self.groups]
        return hashlib.blake2b(repr((shown, sorted(self.mentioned_in))).encode(), digest_size=9).hexdigest()


def read_listing(
    user_id: uuid.UUID,
    *,
    zone: ZoneInfo,
    after: str = "",
    count: int = PAGE,
    mentioned_in: Collection[uuid.UUID] = (),
) -> Listing:
    """Up to `count` entries, newest first, from where `after` (a `Listing.next`) stopped; the pinned ones go before
    the first page and do not count. Raises `Invalid`.
    """
    count = max(1, min(count, MAX_PAGE))
    rows = conversations_of(user_id).filter(pinned_at=None)
    if after:
        moment, last = _parse_position(after)
        rows = rows.filter(Q(updated_at__lt=moment) | Q(updated_at=moment, id__lt=last))
    listed = rows.values_list("id", "title", "updated_at", "pinned_at")[: count + 1]
    if not after:  # in one query
        on_top = conversations_of(user_id).exclude(pinned_at=None).order_by()
        listed = listed.union(on_top.values_list("id", "title", "updated_at", "pinned_at"), all=True)
    every = list(listed)
    on_top_first = sorted((row for row in every if row[3] is not None), key=lambda row: (row[3], row[0]), reverse=True)
    newest_first = sorted((row for row in every if row[3] is None), key=lambda row: (row[2], row[0]), reverse=True)
    pinned = [Item(*row[:3], pinned=True) for row in on_top_first]
    found = [Item(*row[:3]) for row in newest_first]
    marks = read_marks([item.id for item in (*pinned, *found[:count])], user_id)
    pinned, kept = (
        [replace(item, mark=marks.get((item.id, user_id), item.mark)) for item in items]
        for items in (pinned, found[:count])
    )
    today = timezone.now().astimezone(zone).date()
    groups = [
        Group(label, list(items))
        for label, items in itertools.groupby(
            kept, lambda item: _heading(item.updated_at.astimezone(zone).date(), today)
        )
    ]
    if pinned:
        groups.insert(0, Group(_("Pinned"), pinned))
    rest = f"{kept[-1].updated_at.isoformat()}~{kept[-1].id}" if len(found) > count else ""
    return Listing(groups, rest, bool(after), mentioned_in)


def _parse_position(after: str) -> tuple[datetime.datetime, uuid.UUID]:
    moment, _sep, last = after.partition("~")
    try:
        when = datetime.datetime.fromisoformat(moment)
        if when.tzinfo is None:
            raise ValueError
        return when, uuid.UUID(last)
    except ValueError:
        raise Invalid("Invalid position in the list.") from None


def _heading(day: datetime.date, today: datetime.date) -> str:
    age = (today - day).days
    if age <= 0:
        return _("Today")
    if age == 1:
        return _("Yesterday")
    if age <= 7:
        return _("Last 7 days")
    if age <= 30:
        return _("Last 30 days")
    return date_format(day, "F" if day.year == today.year else "F Y")


def rename(user_id: uuid.UUID, conversation_id: uuid.UUID, title: str) -> str:
    """Renames a conversation for all members; returns the title. Raises `NotFound`, `Forbidden`, `Invalid`,
    `Moderated`.
    """
    conversation = member_of(user_id, conversation_id, write=True).conversation
    title = " ".join(title.replace("\x00", "").split())
    if not title:
        raise Invalid("Enter a title.")
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
        raise Invalid("Temporary chats cannot be pinned.")
    if pinned == (conversation.pinned_at is not None):
        return
    if pinned and conversations_of(user_id).exclude(pinned_at=None).count() >= MAX_PINS:
        raise Invalid(f"You can pin up to {MAX_PINS} conversations. Unpin one first.")
    conversation.pinned_at = timezone.now() if pinned else None
    conversation.save(update_fields=["pinned_at"])
    notify_members(conversation)


def delete(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    """Moves a conversation to the trash. Raises `NotFound`, or `Forbidden` for a member who is not an owner."""
    member = member_of(user_id, conversation_id)
    if member.role != Role.OWNER:
        raise Forbidden("Only an owner can delete this conversation.")
    member.conversation.deleted_at = timezone.now()
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
    listing = {
        "conversation_id": str(conversation.id),
        "title": conversation.title,
        "updated_at": conversation.updated_at.isoformat(),
        "deleted": deleted,
        "temporary": conversation.temporary,
        "pinned": conversation.pinned_at is not None,
    }
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

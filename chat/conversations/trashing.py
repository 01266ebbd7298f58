"""Moves many conversations to the trash at once, and back."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Collection
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from accounts.lib.texts import gettext_noop
from chat.conversations.organising import AT_ONCE, check_ids
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.eventlog.user_events import notify_conversation_listed, notify_list_changed
from chat.models import Conversation, Member, Role
from chat.protocol.errors import Forbidden, Invalid, NotFound

NOTICES_AT_ONCE: Final = 50
UNDO_SECONDS: Final = 3600
NOT_AN_OWNER: Final = gettext_noop("Only an owner can delete a conversation. You can leave or archive those of others.")
TOO_LATE: Final = gettext_noop("This can no longer be undone here. The trash still has what was deleted.")

logger = structlog.get_logger(__name__)


def delete_many(user_id: uuid.UUID, ids: Collection[uuid.UUID]) -> dict[str, Any]:
    """Moves those conversations to the trash that the user owns, in one transaction. `kept`: how many are others'.

    Raises `Invalid`, `NotFound`, and `Forbidden` if the user owns none of them.
    """
    check_ids(ids)
    rows = Member.objects.filter(user_id=user_id, conversation_id__in=ids, conversation__deleted_at=None)
    roles = dict(rows.values_list("conversation_id", "role"))
    if not roles:
        raise NotFound
    owned = [pk for pk, role in roles.items() if role == Role.OWNER]
    if not owned:
        raise Forbidden(NOT_AN_OWNER)
    done = _delete(user_id, owned, timezone.now())
    return {
        "done": len(done),
        "kept": len(roles) - len(owned),
        "undo": [{"action": "restore", "ids": [str(pk) for pk in done]}],
    }


def delete_all(user_id: uuid.UUID, at: str = "") -> dict[str, Any]:
    """Moves up to `AT_ONCE` of all conversations that the user owns to the trash, also from folders and the archive.

    `left` are still to do: the caller asks again with the `at` of the first result, by which all are restored together.
    Temporary conversations stay: they are in no list. Raises `Invalid`.
    """
    moment = _parse_moment(at) if at else timezone.now()
    owned = Member.objects.filter(
        user_id=user_id, role=Role.OWNER, conversation__deleted_at=None, conversation__temporary=False
    )
    some = list(owned.order_by("conversation_id").values_list("conversation_id", flat=True)[:AT_ONCE])
    done = _delete(user_id, some, moment) if some else []
    return {"done": len(done), "left": owned.count(), "at": moment.isoformat()}


def restore_many(user_id: uuid.UUID, ids: Collection[uuid.UUID] = (), at: str = "") -> dict[str, Any]:
    """Restores conversations that the user owns from the trash: those named, or what `delete_all` moved there `at` that
    time, up to `AT_ONCE` of them. `left` are still to do. Raises `Invalid`, and `NotFound` where there is none.
    """
    rows = Member.objects.filter(user_id=user_id, role=Role.OWNER).exclude(conversation__deleted_at=None)
    if at:
        rows = rows.filter(conversation__deleted_at=_parse_moment(at))
    else:
        check_ids(ids)
        rows = rows.filter(conversation_id__in=ids)
    with transaction.atomic():
        some = list(rows.order_by("conversation_id").values_list("conversation_id", flat=True)[:AT_ONCE])
        if not some:
            raise NotFound
        Conversation.objects.filter(pk__in=some).update(deleted_at=None)
    _notify(user_id, some, deleted=False)
    return {"done": len(some), "left": rows.count() if at else 0}


def _delete(user_id: uuid.UUID, ids: Collection[uuid.UUID], moment: datetime.datetime) -> list[uuid.UUID]:
    with transaction.atomic():
        rows = Conversation.objects.select_for_update(no_key=True).filter(pk__in=ids, deleted_at=None).order_by("pk")
        found = list(rows.values_list("pk", flat=True))
        Conversation.objects.filter(pk__in=found).update(deleted_at=moment)
        recheck_shares_on_commit(found)
    _notify(user_id, found, deleted=True)
    return found


def _notify(user_id: uuid.UUID, ids: Collection[uuid.UUID], *, deleted: bool) -> None:
    """Tells every member of each conversation, and the user that the list is another one."""
    rows = Conversation.objects.filter(pk__in=ids)
    listings = {
        pk: {"conversation_id": str(pk), "title": title, "updated_at": at.isoformat(), "deleted": deleted,
             "temporary": temporary, "pinned": pinned is not None}
        for pk, title, at, temporary, pinned in rows.values_list("pk", "title", "updated_at", "temporary", "pinned_at")
    }  # fmt: skip
    members = list(Member.objects.filter(conversation__in=ids).values_list("user_id", "conversation_id"))
    # Restored entries of the user's own come with the list that they read again.
    told = [(member, one) for member, one in members if one in listings and (deleted or member != user_id)]

    async def notify() -> None:
        for start in range(0, len(told), NOTICES_AT_ONCE):
            some = told[start : start + NOTICES_AT_ONCE]
            await asyncio.gather(*(notify_conversation_listed(member, listings[one]) for member, one in some))
        await notify_list_changed(user_id)

    try:
        async_to_sync(notify)()
    except (redis.RedisError, OSError) as error:
        logger.warning("listing_not_published", error=type(error).__name__)


def _parse_moment(text: str) -> datetime.datetime:
    """A time of a deletion a while ago. Raises `Invalid`."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        age = (timezone.now() - moment).total_seconds()
    except (ValueError, TypeError, OverflowError):
        raise Invalid(TOO_LATE) from None
    if not 0 <= age < UNDO_SECONDS:
        raise Invalid(TOO_LATE)
    return moment

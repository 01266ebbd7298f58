"""Which collections of files the answers of a conversation are looked up in: the members' choice."""

from __future__ import annotations

import uuid
from collections.abc import Collection as Ids
from typing import Any, Final

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from chat.conversations.membership import WRITERS, member_of
from chat.conversations.publishing import publish_setting
from chat.files.collections import collection_dict, readiness_of, usable_collections
from chat.models import Collection, Conversation, Folder
from chat.protocol.errors import Invalid
from chat.protocol.limits import MAX_COLLECTIONS

MOST_LISTED: Final = 200  # collections that one user is offered


def read_collections(user_id: uuid.UUID, conversation_id: uuid.UUID) -> dict[str, Any]:
    """What the page shows a member: the collections that they may use, and which are chosen. Raises `NotFound`."""
    member = member_of(user_id, conversation_id)
    chosen = set(member.conversation.collections.values_list("pk", flat=True))
    return describe_collections(user_id, chosen, may_change=member.role in WRITERS)


def change_collections(user_id: uuid.UUID, conversation_id: uuid.UUID, given: str) -> dict[str, Any]:
    """Chooses the collections of a conversation from the next answer on, and tells every open tab.

    `given`: a JSON list of ids. Collections that other members have chosen and this one cannot use stay. For each
    answer only those count that whoever asks may use then. Raises `NotFound`, `Forbidden` and `Invalid`.
    """
    wanted = _read(given)
    with transaction.atomic():
        member = member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        before = set(conversation.collections.values_list("pk", flat=True))
        chosen = _chosen(user_id, wanted, before)
        # Locked, so that none is deleted between here and the commit.
        locked = Collection.objects.select_for_update(no_key=True).filter(pk__in=chosen)
        conversation.collections.set(list(locked))
    publish_setting(conversation, "collections")
    return describe_collections(user_id, chosen, may_change=member.role in WRITERS)


def choose_for_folder(user_id: uuid.UUID, folder: Folder, given: str) -> None:
    """Chooses the collections that conversations of a folder begin with, as `change_collections` does. Within a
    transaction. Raises `Invalid`.
    """
    before = set(folder.collections.values_list("pk", flat=True))
    folder.collections.set(Collection.objects.filter(pk__in=_chosen(user_id, _read(given), before)))


def _chosen(user_id: uuid.UUID, wanted: set[uuid.UUID], before: set[uuid.UUID]) -> set[uuid.UUID]:
    """What is chosen: what the user wants, and what others have chosen that the user cannot use. Raises `Invalid`."""
    usable = set(usable_collections(user_id).filter(pk__in=wanted | before).values_list("pk", flat=True))
    if wanted - usable - before:
        raise Invalid(_("One of the collections is no longer available. Choose again."))
    chosen = (wanted & usable) | (before - usable)
    if len(chosen) > MAX_COLLECTIONS:
        raise Invalid(_("You can choose at most %(most)d collections.") % {"most": MAX_COLLECTIONS})
    return chosen


def _read(given: str) -> set[uuid.UUID]:
    """Raises `Invalid`."""
    try:
        return set(msgspec.json.decode((given or "[]").encode(), type=list[uuid.UUID]))
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Invalid(_("Send the collections as a list of ids.")) from None


def describe_collections(
    user_id: uuid.UUID, chosen: Ids[uuid.UUID], *, may_change: bool = True
) -> dict[str, Any]:  # fmt: skip
    """The collections that a user may use, with how far their files are read, and which are chosen, also for a
    conversation that has not begun. `missing`: how many of the chosen ones this user cannot use.
    """
    rows = list(usable_collections(user_id).select_related("owner").order_by("name", "pk")[:MOST_LISTED])
    known = {row.pk for row in rows}
    if beyond := set(chosen) - known:
        more = list(usable_collections(user_id).filter(pk__in=beyond).select_related("owner"))
        rows, known = [*rows, *more], known | {row.pk for row in more}
    readiness = readiness_of(known)
    return {
        "collections": [
            collection_dict(row, user_id, readiness.get(row.pk)) | {"on": row.pk in chosen} for row in rows
        ],
        "missing": len(set(chosen) - known),
        "may_change": may_change,
    }

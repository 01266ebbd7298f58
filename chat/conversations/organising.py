"""What a user does with one or many conversations of their list: archives, files, tags, and marks as read or unread.

All of it is in the user's own membership rows, which no other member sees. What a command returns under `undo` is
what takes it back: commands of the same kind.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.conversations.folders import folder_of
from chat.conversations.tags import find_or_create_tag, tag_of
from chat.eventlog.user_events import notify_list_changed
from chat.models import Conversation, Member, Tag
from chat.models.organising import MAX_TAGS_EACH
from chat.notifications.marks import publish_marks
from chat.protocol.errors import Invalid, NotFound

AT_ONCE: Final = 500  # conversations of one command
NONE: Final = gettext_noop("Choose at least one conversation.")
TOO_MANY: Final = gettext_noop("At most %(most)s conversations at once.")
TEMPORARY: Final = gettext_noop("Temporary chats cannot be filed.")
MANY_TAGS: Final = gettext_noop("A conversation can have at most %(most)s tags.")

# Up to the last message that is there, as if it had been opened. What comes from now on is unread again.
_READ: Final = """
UPDATE chat_member m SET marked_unread = false, seen_until = GREATEST(m.seen_until, last.created_at),
    seen_message_id = CASE WHEN last.created_at > m.seen_until OR m.seen_message_id IS NULL THEN last.id
        ELSE m.seen_message_id END
FROM chat_member n LEFT JOIN LATERAL (SELECT id, created_at FROM chat_message
    WHERE conversation_id = n.conversation_id AND status NOT IN ('pending', 'streaming')
    ORDER BY created_at DESC LIMIT 1) last ON true
WHERE n.id = m.id AND m.id = ANY(%s)
"""


def archive(user_id: uuid.UUID, ids: Collection[uuid.UUID], *, archived: bool) -> dict[str, Any]:
    """Takes conversations out of the user's list, or puts them back. A new message puts them back as well
    (`member_branches.KEEP_BRANCHES`). Raises `Invalid` and `NotFound`.
    """
    rows = _rows_of(user_id, ids)
    changed = [row for row in rows if (row.archived_at is not None) != archived]
    Member.objects.filter(pk__in=[row.pk for row in changed]).update(archived_at=Now() if archived else None)
    async_to_sync(notify_list_changed)(user_id)
    back = {"action": "unarchive" if archived else "archive", "ids": _ids(changed)}
    return {"done": len(rows), "undo": [back] if changed else []}


def move(user_id: uuid.UUID, ids: Collection[uuid.UUID], folder_id: uuid.UUID | None) -> dict[str, Any]:
    """Puts conversations into a folder, or back into the list (None). Raises `Invalid` and `NotFound`."""
    folder = folder_of(user_id, folder_id) if folder_id else None
    rows = _rows_of(user_id, ids)
    before: dict[str, list[Member]] = {}
    for row in rows:
        if row.folder_id != folder_id:
            before.setdefault(str(row.folder_id or ""), []).append(row)
    Member.objects.filter(pk__in=[row.pk for row in rows]).update(folder=folder)
    async_to_sync(notify_list_changed)(user_id)
    back = [{"action": "move", "ids": _ids(some), "folder": was} for was, some in before.items()]
    return {"done": len(rows), "undo": back, "folder": folder.name if folder else ""}


def tag(
    user_id: uuid.UUID, ids: Collection[uuid.UUID], *, name: str = "", tag_id: uuid.UUID | None = None, on: bool = True
) -> dict[str, Any]:
    """Puts a tag on conversations, which is created if there is none of this name; or takes it off (`on` is false).

    Raises `Invalid`, `TooLarge`, `NotFound` and `Moderated`.
    """
    rows = _rows_of(user_id, ids)
    found = tag_of(user_id, tag_id) if tag_id else find_or_create_tag(user_id, name)
    with transaction.atomic():
        has = set(found.members.filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
        changed = [row for row in rows if (row.pk in has) != on]
        if on:
            _check_room(changed)
            found.members.add(*[row.pk for row in changed])
        else:
            found.members.remove(*[row.pk for row in changed])
    async_to_sync(notify_list_changed)(user_id)
    back = {"action": "untag" if on else "tag", "ids": _ids(changed), "tag": str(found.pk)}
    return {"done": len(rows), "undo": [back] if changed else [], "tag": {"id": str(found.pk), "name": found.name}}


def mark(user_id: uuid.UUID, ids: Collection[uuid.UUID], *, unread: bool) -> dict[str, Any]:
    """Marks conversations as unread until the user next opens them, or as read to their end.

    Reading cannot be undone for single messages: `undo` marks as unread. Raises `Invalid` and `NotFound`.
    """
    rows = _rows_of(user_id, ids)
    if unread:
        Member.objects.filter(pk__in=[row.pk for row in rows]).update(marked_unread=True)
    else:
        with connection.cursor() as cursor:
            cursor.execute(_READ, [[row.pk for row in rows]])
    conversations = [row.conversation_id for row in rows]
    async_to_sync(publish_marks)(conversations, user_id)
    async_to_sync(notify_list_changed)(user_id)
    return {"done": len(rows), "undo": [{"action": "read" if unread else "unread", "ids": _ids(rows)}]}


def note_opened(member: Member) -> None:
    """The user opens a conversation that they had marked as unread: the mark goes, in every tab."""
    if not member.marked_unread:
        return
    Member.objects.filter(pk=member.pk).update(marked_unread=False)
    async_to_sync(publish_marks)([member.conversation_id], member.user_id)


def kept_as(user_id: uuid.UUID, ids: Collection[uuid.UUID]) -> dict[str, Any]:
    """How the user keeps these conversations, for the menus: the ids of their `folders`, and of the `tags` of `all` and
    of `some` of them; how many of them are `archived`. Raises `Invalid` and `NotFound`.
    """
    rows = _rows_of(user_id, ids)
    on = Tag.objects.filter(user_id=user_id, members__in=rows).annotate(of=Count("members")).values_list("pk", "of")
    of_all = [str(pk) for pk, of in on if of == len(rows)]
    return {
        "folders": sorted({str(row.folder_id or "") for row in rows}),
        "tags": {"all": of_all, "some": [str(pk) for pk, of in on if of < len(rows)]},
        "archived": sum(row.archived_at is not None for row in rows),
    }


def check_ids(ids: Collection[uuid.UUID]) -> None:
    """Raises `Invalid` for none, or more than one command may name."""
    if not ids:
        raise Invalid(NONE)
    if len(ids) > AT_ONCE:
        raise Invalid(_(TOO_MANY) % {"most": AT_ONCE})


def _rows_of(user_id: uuid.UUID, ids: Collection[uuid.UUID]) -> list[Member]:
    """The user's memberships of those conversations that are not in the trash; the others are left out."""
    check_ids(ids)
    rows = Member.objects.filter(user_id=user_id, conversation_id__in=ids, conversation__deleted_at=None)
    found = list(rows.order_by("conversation_id"))
    if not found:
        raise NotFound
    if Conversation.objects.filter(pk__in=ids, temporary=True).exists():
        raise Invalid(TEMPORARY)
    return found


def _check_room(rows: Collection[Member]) -> None:
    """Raises `Invalid` if one of these has as many tags as it may have."""
    counted = Member.objects.filter(pk__in=[row.pk for row in rows]).annotate(of=Count("tags"))
    if counted.filter(of__gte=MAX_TAGS_EACH).exists():
        raise Invalid(_(MANY_TAGS) % {"most": MAX_TAGS_EACH})


def _ids(rows: Iterable[Member]) -> list[str]:
    return [str(row.conversation_id) for row in rows]

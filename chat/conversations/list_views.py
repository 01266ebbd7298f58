"""Which of a user's conversations a list shows: all that are in no folder, those of a folder or a tag, and so on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from chat.models import Member, Message, MessageStatus
from chat.protocol.errors import Invalid

KINDS: Final = ("", "folder", "tag", "archived", "unread")
WITH_ID: Final = ("folder", "tag")


@dataclass(frozen=True, slots=True)
class ListView:
    """A view of the list, as pages name it: empty, `archived`, `unread`, `folder:<id>` or `tag:<id>`."""

    kind: str = ""
    id: uuid.UUID | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else self.kind

    @property
    def has_pinned_on_top(self) -> bool:
        return self.kind in ("", "folder")


ALL: Final = ListView()


def parse_view(text: str) -> ListView:
    """Raises `Invalid`."""
    kind, _sep, name = text.partition(":")
    try:
        if kind not in KINDS or (kind in WITH_ID) != bool(name):
            raise ValueError
        return ListView(kind, uuid.UUID(name) if name else None)
    except ValueError:
        raise Invalid(_("There is no such list.")) from None


def members_in(user_id: uuid.UUID, view: ListView = ALL) -> QuerySet[Member]:
    """The user's memberships that a view shows, in no order. Temporary and deleted conversations are in none.

    Conversations in folders are in the list of their folder; what is archived, in the archive alone and in `tag:` and
    `unread`, which look everywhere but in the archive. Other people's folders and tags show nothing.
    """
    rows = Member.objects.filter(user_id=user_id, conversation__deleted_at=None, conversation__temporary=False)
    if view.kind == "archived":
        return rows.exclude(archived_at=None)
    rows = rows.filter(archived_at=None)
    match view.kind:
        case "folder":
            return rows.filter(folder=view.id, folder__user_id=user_id)
        case "tag":
            return rows.filter(tags=view.id, tags__user_id=user_id)
        case "unread":
            return rows.filter(is_unread(user_id))
    return rows.filter(folder__isnull=True)


def is_unread(user_id: uuid.UUID) -> Q:
    """Whether a membership was marked as unread, or has messages that its user has not seen (`positions.UNREAD`)."""
    news = (
        Message.objects.filter(conversation_id=OuterRef("conversation_id"), created_at__gt=OuterRef("seen_until"))
        .exclude(status__in=(MessageStatus.PENDING, MessageStatus.STREAMING))
        .filter(Q(author_id=None) | ~Q(author_id=user_id))
    )
    # Few conversations have changed since they were read: only their messages are looked at.
    return Q(Q(marked_unread=True) | Q(Q(conversation__updated_at__gt=F("seen_until")) & Q(Exists(news))))

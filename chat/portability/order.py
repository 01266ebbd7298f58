"""How a user keeps their list, in exports and imports: folders by the names above them, tags, the archive."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from accounts.models import User
from chat.conversations import folders, tags
from chat.models import Member, Tag
from chat.models.moderation import CaseTarget
from chat.models.organising import MAX_DEPTH, MAX_FOLDER_NAME, MAX_TAG_NAME, MAX_TAGS_EACH
from chat.moderation.screening import screen_field
from chat.protocol.errors import ChatError

TRIED: Final = 2  # times as many tags as a conversation may have; further ones are not read

Paths = Mapping[uuid.UUID, list[str]]
"""The names of a folder and those above it, the top one first, by its id."""


def folder_paths(user: User) -> Paths:
    every = {one.id: one for one in folders.folder_entries(user.pk)}
    return {one.id: [every[above].name for above in one.ancestors] + [one.name] for one in every.values()}


def folders_of(user: User) -> list[dict[str, Any]]:
    """The user's folders with what conversations that begin in them get."""
    paths = folder_paths(user)
    return [
        {"path": paths[one.id], "instructions": one.instructions, "model": one.model}
        for one in folders.folder_entries(user.pk)
    ]


def order_of(member: Member, paths: Paths) -> dict[str, Any]:
    """How this member keeps a conversation."""
    return {
        "folder": paths.get(member.folder_id) if member.folder_id else None,
        "tags": list(Tag.objects.filter(members=member).order_by("name").values_list("name", flat=True)),
        "archived_at": member.archived_at.isoformat() if member.archived_at else None,
        "marked_unread": member.marked_unread,
    }


@dataclass(frozen=True, slots=True)
class ImportedOrder:
    """What a file says of a conversation: the names of its `folder` from the top, `tags`, whether it is archived."""

    folder: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    archived: bool = False


def keep_in_order(user: User, placed: Iterable[tuple[uuid.UUID, ImportedOrder]]) -> None:
    """Files conversations that were just imported. What is over a limit, or refused by moderation, is left out: the
    conversation is imported all the same.
    """
    for conversation_id, order in placed:
        if order == ImportedOrder():
            continue
        member = Member.objects.filter(user=user, conversation_id=conversation_id).first()
        if member is None:
            continue
        names = [_screened(name, user, MAX_FOLDER_NAME) for name in order.folder[:MAX_DEPTH]]
        member.folder = folders.find_or_create_path(user.pk, [name for name in names if name]) if names else None
        member.archived_at = timezone.now() if order.archived else None
        member.save(update_fields=["folder", "archived_at"])
        for tag in _tags(user, order.tags):
            tag.members.add(member)


def _tags(user: User, names: Iterable[str]) -> list[Tag]:
    found = []
    for name in itertools.islice(dict.fromkeys(names), TRIED * MAX_TAGS_EACH):
        try:
            found.append(tags.find_or_create_tag(user.pk, name[:MAX_TAG_NAME]))
        except ChatError:
            continue
        if len(found) == MAX_TAGS_EACH:
            break
    return found


def _screened(name: str, user: User, longest: int) -> str:
    try:
        return screen_field(name[:longest], user.pk, CaseTarget.TITLE, user.pk, longest=longest)
    except ChatError:
        return ""

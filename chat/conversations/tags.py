"""A user's tags: reads, renames and deletes them. `chat.conversations.organising` puts them on conversations."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.models import Tag
from chat.models.moderation import CaseTarget
from chat.models.organising import MAX_TAG_NAME, MAX_TAGS
from chat.moderation.screening import screen_field
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Conflict, Invalid, NotFound, TooLarge

GONE: Final = gettext_noop("This tag no longer exists.")
FULL: Final = gettext_noop("You have %(most)s tags, which is the limit. Delete one first.")
NO_NAME: Final = gettext_noop("Enter a name for the tag.")
LONG_NAME: Final = gettext_noop("A tag can have at most %(most)s characters.")
TAKEN: Final = gettext_noop("You have a tag with this name.")


def tags_of(user_id: uuid.UUID) -> list[dict[str, Any]]:
    """The user's tags by name: `id`, `name`, and how many `conversations` their lists have."""
    listed = Q(members__archived_at=None, members__conversation__deleted_at=None)
    rows = Tag.objects.filter(user_id=user_id).annotate(listed=Count("members", filter=listed)).order_by(Lower("name"))
    return [{"id": str(row.pk), "name": row.name, "conversations": row.listed} for row in rows]


def clean_name(name: str) -> str:
    """Raises `Invalid` or `TooLarge` with a sentence."""
    name = " ".join(clean_controls(name).split()).lstrip("#").strip()
    if not name:
        raise Invalid(NO_NAME)
    if len(name) > MAX_TAG_NAME:
        raise TooLarge(_(LONG_NAME) % {"most": MAX_TAG_NAME})
    return name


def find_or_create_tag(user_id: uuid.UUID, name: str) -> Tag:
    """The tag of this name in either case. Raises `Invalid`, `TooLarge`, `Moderated`."""
    name = clean_name(name)
    known = Tag.objects.filter(user_id=user_id, name__iexact=name).first()
    if known is not None:
        return known
    name = screen_field(name, user_id, CaseTarget.TITLE, user_id, longest=MAX_TAG_NAME)
    return create_tag(user_id, name)


def create_tag(user_id: uuid.UUID, name: str) -> Tag:
    """A tag of a name that was cleaned and screened. Another request may have just created it: that one, then."""
    if Tag.objects.filter(user_id=user_id).count() >= MAX_TAGS:
        raise Invalid(_(FULL) % {"most": MAX_TAGS})
    try:
        with transaction.atomic():
            return Tag.objects.create(user_id=user_id, name=name)
    except IntegrityError:
        return Tag.objects.get(user_id=user_id, name__iexact=name)


def tag_of(user_id: uuid.UUID, tag_id: uuid.UUID) -> Tag:
    """Raises `NotFound` where the user has no such tag."""
    found = Tag.objects.filter(user_id=user_id, pk=tag_id).first()
    if found is None:
        raise NotFound(GONE)
    return found


def rename_tag(user_id: uuid.UUID, tag_id: uuid.UUID, name: str) -> Tag:
    """Raises `NotFound`, `Invalid`, `TooLarge`, `Moderated`, and `Conflict` if another tag has this name."""
    tag = tag_of(user_id, tag_id)
    tag.name = screen_field(clean_name(name), user_id, CaseTarget.TITLE, tag_id, longest=MAX_TAG_NAME)
    try:
        with transaction.atomic():
            tag.save(update_fields=["name"])
    except IntegrityError:
        raise Conflict(TAKEN) from None
    return tag


def delete_tag(user_id: uuid.UUID, tag_id: uuid.UUID) -> None:
    """Deletes a tag; conversations merely lose it. Raises `NotFound`."""
    tag_of(user_id, tag_id).delete()

"""Finds people by name, so that an owner can add somebody without knowing their email address."""

from __future__ import annotations

import uuid
from typing import Final

from django.conf import settings
from django.db.models import Exists, OuterRef

from chat.conversations.members import OWNERS_ONLY, joinable
from chat.conversations.membership import member_of
from chat.models import Member, Role
from chat.protocol.errors import Forbidden

FEWEST_LETTERS: Final = 2
MOST_FOUND: Final = 8


def find_people(user_id: uuid.UUID, conversation_id: uuid.UUID, query: str) -> list[dict[str, str]]:
    """Up to `MOST_FOUND` people whose name has `query`, members left out. Their addresses are not shown.

    Empty if the site has switched the directory off (PEOPLE_DIRECTORY), or for less than `FEWEST_LETTERS` letters.
    Raises `NotFound`, and `Forbidden` unless the user is an owner.
    """
    if member_of(user_id, conversation_id).role != Role.OWNER:
        raise Forbidden(OWNERS_ONLY)
    query = query.replace("\x00", "").strip()  # PostgreSQL refuses to look for this character
    if not settings.PEOPLE_DIRECTORY or len(query) < FEWEST_LETTERS:
        return []
    member = Member.objects.filter(conversation_id=conversation_id, user=OuterRef("pk"))
    found = joinable().filter(~Exists(member), name__icontains=query[:120]).order_by("name", "pk")[:MOST_FOUND]
    return [{"id": str(person.pk), "name": person.display_name} for person in found]

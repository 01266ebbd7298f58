"""Which conversations a user may read and write in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.suspension import sentence
from chat.models import Conversation, Member, Role
from chat.protocol.errors import Forbidden, NotFound, Suspended

WRITERS: Final = (Role.OWNER.value, Role.EDITOR.value)


def member_of(
    user_id: uuid.UUID, conversation_id: uuid.UUID, *, write: bool = False, with_user: bool = False
) -> Member:
    """The user's membership. Raises `NotFound`, or `Forbidden` where `write` is asked of a viewer."""
    member = (
        Member.objects.select_related("conversation", *(["user"] if with_user else []))
        .filter(user_id=user_id, conversation_id=conversation_id, conversation__deleted_at=None)
        .first()
    )
    if member is None:
        raise NotFound
    if write and member.role not in WRITERS:
        raise Forbidden
    return member


def check_suspension(until: datetime | None, reason: str) -> None:
    """Raises `Suspended` if there is a suspension until a time that has not come."""
    if until is not None and until > timezone.now():
        raise Suspended(sentence(until, reason))


def check_may_write(user_id: uuid.UUID) -> None:
    """Raises `Suspended` if the user's account is suspended."""
    row = User.objects.filter(pk=user_id).values_list("suspended_until", "suspension_reason").first()
    if row is not None:
        check_suspension(*row)


def open_conversation(user_id: uuid.UUID, conversation_id: uuid.UUID) -> tuple[str, bool, uuid.UUID | None]:
    """The member's name, whether there are other members, and the last message of the branch that the member looks at.

    Raises `NotFound`.
    """
    others = Member.objects.filter(conversation=OuterRef("conversation")).exclude(user_id=user_id)
    row = (
        Member.objects.filter(user_id=user_id, conversation_id=conversation_id, conversation__deleted_at=None)
        .annotate(shared=Exists(others))
        .values_list("user__name", "user__email", "shared", "tip_id", "conversation__tip_id")
        .first()
    )
    if row is None:
        raise NotFound
    name, email, shared, own, newest = row
    tips: list[uuid.UUID | None] = [own, newest]
    return User(name=name, email=email).display_name, shared, next((tip for tip in tips if tip is not None), None)


def may_write_in(user_id: uuid.UUID, conversation_id: uuid.UUID) -> bool:
    """Whether the user may write messages in the conversation at this moment."""
    try:
        member_of(user_id, conversation_id, write=True)
        check_may_write(user_id)
    except (NotFound, Forbidden, Suspended):
        return False
    return True


def has_others(user_id: uuid.UUID, conversation_id: uuid.UUID) -> bool:
    """Whether a conversation has members beside this one."""
    return Member.objects.filter(conversation_id=conversation_id).exclude(user_id=user_id).exists()


def memberships(user_id: uuid.UUID, conversations: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of `conversations` that the user is a member of."""
    rows = Member.objects.filter(user_id=user_id, conversation_id__in=conversations)
    return set(rows.values_list("conversation_id", flat=True))


def conversations_of(user_id: uuid.UUID) -> QuerySet[Conversation]:
    """The conversations in a user's list, newest first, without temporary ones."""
    listed = Conversation.objects.filter(memberships__user_id=user_id, deleted_at=None, temporary=False)
    return listed.order_by("-updated_at", "-id")

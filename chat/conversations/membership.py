"""Which conversations a user may read and write in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import User
from accounts.suspension import sentence
from chat.models import Conversation, Member, Role
from chat.protocol.errors import Forbidden, NotFound, Suspended

# Of many at once: after a cut each socket asks, and after a restart of Redis for all that it follows.
_OPEN: Final = PreparedStatement(
    """
SELECT asked.place, u.name, u.email,
    EXISTS (SELECT FROM chat_member o WHERE o.conversation_id = m.conversation_id AND o.user_id <> m.user_id),
    COALESCE(m.tip_id, c.tip_id)
FROM unnest(%(users)s::uuid[], %(conversations)s::uuid[])
    WITH ORDINALITY AS asked(user_id, conversation_id, place)
JOIN chat_member m ON m.user_id = asked.user_id AND m.conversation_id = asked.conversation_id
JOIN chat_conversation c ON c.id = m.conversation_id AND c.deleted_at IS NULL
JOIN accounts_user u ON u.id = m.user_id
""",
    {"users": "uuid[]", "conversations": "uuid[]"},
)
_MEMBERS: Final = PreparedStatement(
    """
SELECT m.user_id, m.conversation_id FROM unnest(%(users)s::uuid[], %(conversations)s::uuid[])
    AS asked(user_id, conversation_id)
JOIN chat_member m ON m.user_id = asked.user_id AND m.conversation_id = asked.conversation_id
""",
    {"users": "uuid[]", "conversations": "uuid[]"},
)

WRITERS: Final = (Role.OWNER.value, Role.EDITOR.value)


class Opened(NamedTuple):
    """The member's name, whether there are other members, and the last message of the branch that the member looks at,
    if there is one.
    """

    name: str
    shared: bool
    tip: uuid.UUID | None


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


def open_conversation(user_id: uuid.UUID, conversation_id: uuid.UUID) -> Opened:
    """What a member who opens a conversation needs of it. Raises `NotFound`."""
    [found] = open_conversations([(user_id, conversation_id)])
    if found is None:
        raise NotFound
    return found


def open_conversations(asked: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> list[Opened | None]:
    """The same of many users and conversations, in one statement; None where the user is no member."""
    found: list[Opened | None] = [None] * len(asked)
    values = {"users": [user_id for user_id, _ in asked], "conversations": [conversation for _, conversation in asked]}
    with connection.cursor() as cursor:
        _OPEN.execute(cursor, values)
        for place, name, email, shared, tip in cursor.fetchall():
            found[place - 1] = Opened(User(name=name, email=email).display_name, shared, tip)
    return found


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


def memberships(asked: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Those of these users and conversations of which the user is a member of the conversation."""
    if not asked:
        return set()
    with connection.cursor() as cursor:
        users, conversations = zip(*asked, strict=True)
        _MEMBERS.execute(cursor, {"users": list(users), "conversations": list(conversations)})
        return set(cursor.fetchall())


def conversations_of(user_id: uuid.UUID) -> QuerySet[Conversation]:
    """The conversations in a user's list, newest first, without temporary ones."""
    listed = Conversation.objects.filter(memberships__user_id=user_id, deleted_at=None, temporary=False)
    return listed.order_by("-updated_at", "-id")

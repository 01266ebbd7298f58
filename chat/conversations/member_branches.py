"""Which branch of a conversation each member looks at.

`Conversation.tip` is the newest message of all. A member without a tip of their own looks at it, and goes where it
goes. When somebody begins or extends another branch, the others stay: their row keeps the message that they look at.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from chat.conversations.branches import newest_leaf
from chat.conversations.membership import member_of
from chat.eventlog import store
from chat.models import Conversation, Member, Message
from chat.protocol.errors import NotFound
from chat.protocol.frames import encode

# Before the conversation gets a new tip below one of `below`: whoever looked at one of these goes with it, so does the
# sender, and everybody else stays. It comes back from every member's archive. Changes nothing where nobody archived it
# and one person writes, or all look at the same branch.
_MOVED: Final = """CASE
    WHEN m.user_id = %(user)s THEN m.tip_id IS NOT NULL
    WHEN m.tip_id IS NULL THEN NOT c.tip_id = ANY(%(below)s::uuid[])
    ELSE m.tip_id = ANY(%(below)s::uuid[]) END"""
KEEP_BRANCHES: Final = f"""
UPDATE chat_member m
SET archived_at = NULL, tip_id = CASE WHEN NOT COALESCE({_MOVED}, false) THEN m.tip_id
    WHEN m.user_id = %(user)s OR m.tip_id = ANY(%(below)s::uuid[]) THEN NULL ELSE c.tip_id END
FROM chat_conversation c
WHERE c.id = m.conversation_id AND m.conversation_id = %(conversation)s AND ({_MOVED} OR m.archived_at IS NOT NULL)
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class Viewed:
    """The branch that a member looks at from now on: where it parts from others, and its last message."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID
    tip_id: uuid.UUID

    @property
    def frame(self) -> dict[str, Any]:
        """The notice for the member's other tabs."""
        return {
            "type": "branch.viewed",
            "conversation_id": str(self.conversation_id),
            "message_id": str(self.message_id),
            "tip": str(self.tip_id),
        }


def keep_branches(conversation_id: uuid.UUID, user_id: uuid.UUID, below: Collection[uuid.UUID]) -> None:
    """Keeps the other members' branches before the conversation, which the caller has locked, gets a new tip."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP_BRANCHES, {"conversation": conversation_id, "user": user_id, "below": list(below)})


def view_branch(user_id: uuid.UUID, message_id: uuid.UUID) -> Viewed:
    """Notes that a member looks at the branch with this message, to its newest end. Raises `NotFound`."""
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member = member_of(user_id, conversation_id)
    with transaction.atomic():  # a turn that gives the conversation another tip comes before or after
        locked = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()
        if locked is None:
            raise NotFound
        tip = newest_leaf(conversation_id, message_id)
        Member.objects.filter(pk=member.pk).update(tip=None if tip == locked.tip_id else tip)
    return Viewed(conversation_id, message_id, tip)


def tip_of(user_id: uuid.UUID, conversation_id: uuid.UUID) -> uuid.UUID | None:
    """The last message of the branch that a member looks at; None in an empty conversation, and of a stranger."""
    row = Member.objects.filter(user_id=user_id, conversation_id=conversation_id)
    own, newest = row.values_list("tip_id", "conversation__tip_id").first() or (None, None)
    return own or newest


async def notify_viewed(viewed: Viewed, group: str, connection_id: str) -> None:
    """The member's other tabs that have the conversation open show the same branch. It may be lost: the next page load
    shows it.
    """
    notice = {
        "type": "ephemeral",
        "c": viewed.conversation_id.bytes,
        "from": connection_id,
        "frame": encode(viewed.frame),
    }
    await store.channel_layer().group_send(group, notice)

"""How far each member has read a conversation. A position is a message, and everything before it.

    chat_member.seen_message_id   the message; NULL: none yet
    chat_member.seen_until        its time, or that of joining: what is newer is unread

Positions only go forward. One statement moves a position and counts what is left, so devices of one person agree.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db import connection

from chat.protocol.errors import NotFound

MOST_UNREAD: Final = 100  # counting stops there: pages show "99+"
# In larger conversations positions are not sent while they change: each message would cost members x members frames.
MOST_ANNOUNCED: Final = 30

# Messages that somebody else wrote, or a model has finished, after a moment.
UNREAD: Final = f"""
SELECT g.status IN ('failed', 'interrupted') AS failed FROM chat_message g
WHERE g.conversation_id = {{conversation}} AND g.created_at > {{after}} AND g.author_id IS DISTINCT FROM {{user}}
    AND g.status NOT IN ('pending', 'streaming')
LIMIT {MOST_UNREAD}
"""  # noqa: S608 -- constants
_MOVE: Final = f"""
WITH seen AS (
    SELECT id, created_at FROM chat_message WHERE id = %(message)s AND conversation_id = %(conversation)s
), moved AS (
    UPDATE chat_member m SET seen_message_id = seen.id, seen_until = GREATEST(m.seen_until, seen.created_at),
        marked_unread = false
    FROM seen WHERE m.conversation_id = %(conversation)s AND m.user_id = %(user)s
        AND (m.seen_until < seen.created_at OR m.seen_message_id IS NULL)
    RETURNING m.seen_until
)
SELECT EXISTS (SELECT FROM seen) AND EXISTS (
        SELECT FROM chat_member WHERE conversation_id = %(conversation)s AND user_id = %(user)s),
    EXISTS (SELECT FROM moved),
    (SELECT count(*) FROM (
        {UNREAD.format(conversation="%(conversation)s", after="position.seen_until", user="%(user)s")}) few),
    (SELECT count(*) FROM (SELECT FROM chat_member WHERE conversation_id = %(conversation)s
        LIMIT {MOST_ANNOUNCED + 1}) few)
FROM (SELECT max(seen_until) AS seen_until FROM moved) position
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class Moved:
    """A position that went forward. `unread` is at most `MOST_UNREAD`."""

    unread: int
    announced: bool  # the other members are told


def move_position(user_id: uuid.UUID, conversation_id: uuid.UUID, message_id: uuid.UUID) -> Moved | None:
    """The member has read up to this message. None if their position was there already, or after it.

    Raises `NotFound` if the message is not in this conversation, or the user is no member.
    """
    named = {"user": user_id, "conversation": conversation_id, "message": message_id}
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, named)
        known, moved, unread, members = cursor.fetchone()
    if not known:
        raise NotFound
    return Moved(unread, announced=1 < members <= MOST_ANNOUNCED) if moved else None

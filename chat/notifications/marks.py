"""The marks of conversations in people's lists: unread messages; an answer in progress, one that waits or failed.

A mark is made from the rows whenever something changes, never counted up: a lost notice is mended by the next one, and
a late one is known by its version.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from channels.exceptions import ChannelFull
from django.db import connection

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog.user_events import notify_user
from chat.notifications.positions import UNREAD

PUBLISHED_AT_ONCE: Final = 50
# A number of the snapshot that a statement reads: never smaller in a later snapshot. `xmax` only grows, and while it
# stays, transactions in progress only end (https://www.postgresql.org/docs/current/functions-info.html, pg_snapshot).
VERSION: Final = """pg_snapshot_xmax(pg_current_snapshot())::text::bigint * 4096
    + 4095 - LEAST(4095, (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())))"""

_MARKS: Final = f"""
WITH run AS (
    SELECT conversation_id, bool_or(status <> 'waiting') AS running, max(waiting_for) AS waiting_for FROM chat_run
    WHERE status IN ('waiting', 'queued', 'running') AND conversation_id = ANY(%(conversations)s)
    GROUP BY conversation_id
)
SELECT m.conversation_id, m.user_id, GREATEST(n.unread, m.marked_unread::int), n.failed,
    COALESCE(run.running, false), COALESCE(run.waiting_for, ''),
    COALESCE(run.waiting_for, '') = 'approval' AND m.role <> 'viewer', {VERSION}
FROM chat_member m
LEFT JOIN run ON run.conversation_id = m.conversation_id
CROSS JOIN LATERAL (SELECT count(*) AS unread, COALESCE(bool_or(failed), false) AS failed FROM (
    {UNREAD.format(conversation="m.conversation_id", after="m.seen_until", user="m.user_id")}) few) n
WHERE m.conversation_id = ANY(%(conversations)s) AND (%(user)s::uuid IS NULL OR m.user_id = %(user)s)
"""  # noqa: S608 -- constants

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """What one person's list shows of one conversation.

    `unread` is at most `MOST_UNREAD`, and at least 1 if they marked it as unread.
    """

    unread: int = 0
    failed: bool = False  # an unread answer failed
    running: bool = False
    waiting: str = ""  # what an answer waits for (`WaitingFor`)
    decides: bool = False  # it waits for a decision that this person may make
    version: int = field(default=0, compare=False, repr=False)  # a smaller one is of older rows

    def frame(self, conversation_id: uuid.UUID) -> dict[str, Any]:
        """The notice `unread` (docs/protocol.md §2)."""
        return {
            "type": "unread",
            "conversation_id": str(conversation_id),
            "count": self.unread,
            "running": self.running,
            "waiting": self.waiting or None,
            "decides": self.decides,
            "failed": self.failed,
            "version": self.version,
        }


NO_MARK: Final = Mark()


def read_marks(
    conversations: Collection[uuid.UUID], user_id: uuid.UUID | None = None
) -> dict[tuple[uuid.UUID, uuid.UUID], Mark]:
    """The marks by (conversation, member); of one member, or of all."""
    if not conversations:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_MARKS, {"conversations": list(conversations), "user": user_id})
        return {(row[0], row[1]): Mark(*row[2:]) for row in cursor.fetchall()}


async def publish_marks(conversations: Collection[uuid.UUID], user_id: uuid.UUID | None = None) -> None:
    """Sends every member (or one of them) the marks of these conversations as they are now. Raises nothing: who misses
    it sees the next notice, or the list when it is read again.
    """
    try:
        marks = list((await in_db(read_marks, conversations, user_id)).items())
        for start in range(0, len(marks), PUBLISHED_AT_ONCE):
            some = marks[start : start + PUBLISHED_AT_ONCE]
            await asyncio.gather(
                *(notify_user(member, mark.frame(conversation)) for (conversation, member), mark in some)
            )
    except (*OUTAGE, ChannelFull) as error:
        logger.warning("marks_not_published", conversations=len(conversations), error=type(error).__name__)

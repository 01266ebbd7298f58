"""Answers have ended: the members' lists show it, and who asked is notified if they are away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Final

import structlog
from django.db import connection

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.notifications.keys import push_is_on
from chat.notifications.marks import publish_marks
from chat.notifications.notify import Kind, News, notify_all

SECONDS: Final = 3.0  # a worker saves its leases after this
# Without answers that ended by barge-in: their users are present, and heard them.
_ENDED: Final = """
SELECT r.conversation_id, r.message_id, r.requested_by_id, r.status FROM chat_run r
WHERE r.id = ANY(%s) AND r.status IN ('done', 'failed', 'interrupted') AND r.latest AND r.heard_chars IS NULL
    AND EXISTS (SELECT FROM chat_pushsubscription p WHERE p.user_id = r.requested_by_id)
    AND NOT EXISTS (SELECT FROM chat_apirequest a WHERE a.message_id = r.prompt_id) -- a program has the answer
"""
_WHERE: Final = "SELECT DISTINCT conversation_id FROM chat_run WHERE id = ANY(%s)"

logger = structlog.get_logger(__name__)


async def announce_ended(run_ids: Sequence[uuid.UUID]) -> None:
    """Publishes the marks of the runs' conversations and notifies who asked, within `SECONDS`. Raises nothing."""
    try:
        async with asyncio.timeout(SECONDS):
            conversations, news = await in_db(_read, run_ids)
            await publish_marks(conversations)
            await notify_all(news)
    except OUTAGE as error:
        logger.warning("marks_not_published", runs=len(run_ids), error=type(error).__name__)


def _read(run_ids: Sequence[uuid.UUID]) -> tuple[list[uuid.UUID], list[News]]:
    """The conversations of the runs; and the news for those who asked and have browser notifications."""
    with connection.cursor() as cursor:
        cursor.execute(_WHERE, [list(run_ids)])
        conversations = [row[0] for row in cursor.fetchall()]
        if not push_is_on():
            return conversations, []
        cursor.execute(_ENDED, [list(run_ids)])
        ended = cursor.fetchall()
    return conversations, [
        News(Kind.ANSWERED if status == "done" else Kind.FAILED, conversation, message, (user,))
        for conversation, message, user, status in ended
    ]

"""Paths through the tree of messages."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import connection

from chat.models import Run
from chat.protocol.errors import NotFound

_PATH_SQL: Final = """
WITH RECURSIVE path(id, parent_id, depth) AS (
    SELECT id, parent_id, 0 FROM chat_message WHERE id = %s AND conversation_id = %s
    UNION ALL
    SELECT m.id, m.parent_id, depth + 1 FROM chat_message m JOIN path ON m.id = path.parent_id WHERE depth < %s
)
SELECT id FROM path ORDER BY depth DESC
"""

_LEAF_SQL: Final = """
WITH RECURSIVE down(id, depth) AS (
    SELECT id, 0 FROM chat_message WHERE id = %s AND conversation_id = %s
    UNION ALL
    SELECT (SELECT c.id FROM chat_message c WHERE c.parent_id = down.id ORDER BY c.created_at DESC, c.id DESC LIMIT 1),
           depth + 1
    FROM down WHERE down.id IS NOT NULL
)
SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1
"""


def path_ids(conversation_id: uuid.UUID, leaf: uuid.UUID | None, *, limit: int) -> list[uuid.UUID]:
    """The ids of the path to a message, oldest first: its last `limit` messages."""
    if leaf is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_PATH_SQL, [leaf, conversation_id, limit - 1])
        return [row[0] for row in cursor.fetchall()]


def newest_leaf(conversation_id: uuid.UUID, message_id: uuid.UUID) -> uuid.UUID:
    """The end of the newest path below a message. Raises `NotFound`."""
    with connection.cursor() as cursor:
        cursor.execute(_LEAF_SQL, [message_id, conversation_id])
        row = cursor.fetchone()
    if row is None:
        raise NotFound
    leaf: uuid.UUID = row[0]
    return leaf


def answers_beside(message_id: uuid.UUID) -> list[uuid.UUID]:
    """The newest answer at each place of a comparison of which this message is an answer, if none is chosen yet."""
    question = Run.objects.filter(message=message_id, slot__gt=0, prompt__comparison__chosen=None).values("prompt")
    runs = Run.objects.filter(prompt__in=question, slot__gt=0, latest=True).order_by("slot", "message__created_at")
    return list(dict(runs.values_list("slot", "message_id")).values())

"""Asks for the text in images of contents that were read without a recogniser, or where recognising it failed."""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

# Contents with images that have no text. The sweeper publishes their jobs.
_MISSING: Final = """
INSERT INTO chat_recognition (blob_id, state, characters, attempts, created_at)
SELECT b.id, 'pending', 0, 0, clock_timestamp() FROM chat_blob b
WHERE b.state IN ('read', 'empty') AND b.kind IN ('image', 'pdf')
    AND EXISTS (SELECT 1 FROM chat_filetext t WHERE t.blob_id = b.id AND t.text = '')
ON CONFLICT (blob_id) DO NOTHING
"""
_AGAIN: Final = """
UPDATE chat_recognition SET state = 'pending', attempts = 0, claimed_until = NULL WHERE state = 'failed'
"""


def request_recognition() -> int:
    """Returns of how many contents text is to be recognised now. Those where none was found are not asked for again."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MISSING)
        count: int = cursor.rowcount
        cursor.execute(_AGAIN)
        count += cursor.rowcount
    return count

"""Finds stored contents that nobody reads, because their job or their worker was lost."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import connection

MAX_ATTEMPTS: Final = 3
LATE_SECONDS: Final = 5.0  # after which a content that nobody reads has lost its job
AT_ONCE: Final = 50

_LOST: Final = """
SELECT id FROM chat_blob WHERE state = 'pending'
    AND COALESCE(claimed_until, created_at + make_interval(secs => %(late)s)) < clock_timestamp()
ORDER BY created_at LIMIT %(most)s
"""
_UNRECOGNISED: Final = """
SELECT blob_id FROM chat_recognition WHERE state = 'pending'
    AND COALESCE(claimed_until, created_at + make_interval(secs => %(late)s)) < clock_timestamp()
ORDER BY created_at LIMIT %(most)s
"""


def unread_contents() -> list[uuid.UUID]:
    """Contents that nobody is reading, also because the storage was away. The oldest first, up to `AT_ONCE`."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST, {"late": LATE_SECONDS, "most": AT_ONCE})
        return [row[0] for row in cursor.fetchall()]


def unrecognised_contents() -> list[uuid.UUID]:
    """Contents whose text nobody is recognising. The oldest first, up to `AT_ONCE`."""
    with connection.cursor() as cursor:
        cursor.execute(_UNRECOGNISED, {"late": LATE_SECONDS, "most": AT_ONCE})
        return [row[0] for row in cursor.fetchall()]

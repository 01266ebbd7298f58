"""Indexes messages that were stored before there was an index, or all of them again."""

from __future__ import annotations

import time
from typing import Final

import structlog
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from chat.search import sql

BATCH: Final = 1_000  # messages of one transaction
REPORT_SECONDS: Final = 10.0

logger = structlog.get_logger(__name__)


def fill(connection: BaseDatabaseWrapper, *, again: bool = False, batch: int = BATCH) -> int:
    """Indexes titles, and each message that is not indexed; with `again` all of them. Returns how many messages.

    It can be interrupted, and run while others write.
    """
    last, indexed, seen = "00000000-0000-0000-0000-000000000000", 0, 0
    reported = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(sql.FILL_TITLES)
    while True:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(sql.FILL, [last, batch, again])
            newest, read, done = cursor.fetchone()
        if not read:
            return indexed
        last, indexed, seen = newest, indexed + done, seen + read
        if time.monotonic() > reported + REPORT_SECONDS:
            reported = time.monotonic()
            logger.info("messages_indexed", messages=indexed, read=seen)

"""Publishes the jobs that read stored contents, and finds contents whose job or worker was lost."""

from __future__ import annotations

import uuid
from typing import Final

import structlog
from celery import current_app
from django.db import connection
from kombu.exceptions import OperationalError as BrokerAway

TASK: Final = "workers.tasks.read_file"
MAX_ATTEMPTS: Final = 3
LATE_SECONDS: Final = 5.0  # after which a content that nobody reads has lost its job
AT_ONCE: Final = 50

logger = structlog.get_logger(__name__)

_LOST: Final = """
SELECT id FROM chat_blob WHERE state = 'pending'
    AND COALESCE(claimed_until, created_at + make_interval(secs => %(late)s)) < clock_timestamp()
ORDER BY created_at LIMIT %(most)s
"""


def enqueue_reading(blob_id: uuid.UUID) -> None:
    """Publishes the job that reads a content. If the broker is away, the sweeper publishes it later."""
    try:
        current_app.send_task(TASK, args=[str(blob_id)], retry=False, ignore_result=True)
    except BrokerAway as error:
        logger.warning("enqueue_failed", blob=str(blob_id), error=type(error).__name__, note="the sweeper enqueues it")


def unread_contents() -> list[uuid.UUID]:
    """Contents that nobody is reading: their job or their worker was lost, or the storage was away."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST, {"late": LATE_SECONDS, "most": AT_ONCE})
        return [row[0] for row in cursor.fetchall()]

"""Publishes the jobs of contents again that nobody reads, because their job or their worker was lost."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

import structlog
from cachetools import TTLCache

from accounts.lib.db import in_db
from chat.jobs.dispatch import enqueue_reading
from chat.jobs.file_reading import unread_contents, unrecognised_contents
from chat.telemetry import metrics

AGAIN_SECONDS: Final = 15.0  # until this process publishes the same job again: a full worker takes it later

logger = structlog.get_logger(__name__)


class FileRecovery:
    """Remembers what it has published lately."""

    def __init__(self) -> None:
        self._published: TTLCache[uuid.UUID, bool] = TTLCache(10_000, AGAIN_SECONDS)

    async def recover_files(self) -> None:
        """One round."""
        for blob_id in [*await in_db(unread_contents), *await in_db(unrecognised_contents)]:
            if blob_id not in self._published:
                self._published[blob_id] = True
                metrics.recoveries["republished"] += 1
                logger.info("file_reading_enqueued", blob=str(blob_id))
                await asyncio.get_running_loop().run_in_executor(None, enqueue_reading, blob_id)

"""Ends recordings whose worker and socket are gone, and frees reservations that nothing uses any more."""

from __future__ import annotations

import time
import uuid
from typing import Final

import structlog

from accounts.lib.db import in_db
from chat.recovery.ledger import free_orphans
from chat.telemetry import metrics
from chat.voice import abandoned, recordings

logger = structlog.get_logger(__name__)
EVERY_SECONDS: Final = 15.0


class RecordingRecovery:
    """Ends unattended recordings and frees unused reservations, at most every `EVERY_SECONDS`.

    A missing lease may be one that Redis has just lost, so a recording is ended when it is found without one twice.
    """

    def __init__(self) -> None:
        self._suspects: set[uuid.UUID] = set()
        self._ran_at = float("-inf")

    async def run(self) -> None:
        if time.monotonic() - self._ran_at < EVERY_SECONDS:
            return
        self._ran_at = time.monotonic()
        if overdue := await in_db(abandoned.overdue):
            unattended = await abandoned.unattended(overdue)
            for recording_id in unattended & self._suspects:
                user_id = await in_db(abandoned.fail_abandoned, recording_id)
                if user_id is not None:
                    metrics.recoveries["recordings"] += 1
                    logger.warning("recording_reaped", recording=str(recording_id))
                    await recordings.release(user_id, recording_id)
            self._suspects = unattended - self._suspects
        else:
            self._suspects = set()
        if freed := await in_db(free_orphans):
            logger.warning("reservations_freed", number=freed)

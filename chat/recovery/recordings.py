"""Ends recordings whose worker or socket is gone."""

from __future__ import annotations

import time
import uuid
from typing import Final

import structlog

from accounts.lib.db import in_db
from chat.recovery.ledger import free_orphans
from chat.telemetry import metrics
from chat.voice import recordings

logger = structlog.get_logger(__name__)
ORPHANS_SECONDS: Final = 15.0  # between two looks for recordings without a worker, and for what is reserved for nobody


class Orphans:
    """Ends recordings whose worker and socket are both gone, and frees what is reserved for runs that no longer exist.

    A lease that is not there may be one that Redis has just forgotten, so it takes two looks.
    """

    def __init__(self) -> None:
        self._suspects: set[uuid.UUID] = set()
        self._looked = float("-inf")

    async def look(self) -> None:
        if time.monotonic() - self._looked < ORPHANS_SECONDS:
            return
        self._looked = time.monotonic()
        if overdue := await in_db(recordings.overdue):
            unattended = await recordings.unattended(overdue)
            for recording_id in unattended & self._suspects:
                user_id = await in_db(recordings.fail_abandoned, recording_id)
                if user_id is not None:
                    metrics.recoveries["recordings"] += 1
                    logger.warning("recording_reaped", recording=str(recording_id))
                    await recordings.release(user_id, recording_id)
            self._suspects = unattended - self._suspects
        else:
            self._suspects = set()
        if freed := await in_db(free_orphans):
            logger.warning("reservations_freed", number=freed)

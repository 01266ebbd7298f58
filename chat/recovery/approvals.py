"""Ends waits for approval that have expired, and completes those whose process died before it announced them."""

from __future__ import annotations

from typing import Final

import structlog

from accounts.lib.db import in_db
from chat.runs.approval_log import announce_waits, unannounced_waits
from chat.runs.decisions import expire_approvals
from chat.telemetry import metrics
from chat.turns.deciding import publish_changes

LATE_SECONDS: Final = 5.0  # a process that lives is quicker

logger = structlog.get_logger(__name__)


async def recover_approvals() -> None:
    """One round."""
    if expired := await in_db(expire_approvals):
        logger.info("approvals_expired", runs=sorted({str(one.run_id) for one in expired}))
        await publish_changes(expired)
    if missing := await in_db(unannounced_waits, LATE_SECONDS):
        metrics.recoveries["announced"] += len(missing)
        await announce_waits(missing)

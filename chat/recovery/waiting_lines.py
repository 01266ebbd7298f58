"""Continues waiting lines whose process ended before it sent what was due, or before it published a change."""

from __future__ import annotations

from typing import Final

import structlog

from accounts.lib.db import in_db
from chat.telemetry import metrics
from chat.turns.going_on import go_on
from chat.turns.line_state import overdue_lines
from chat.turns.waiting_events import publish_left

OVERDUE_SECONDS: Final = 3.0  # a process that lives is quicker

logger = structlog.get_logger(__name__)


async def recover_waiting_lines() -> None:
    """One round: publishes changes, and sends what is due."""
    published = await publish_left(OVERDUE_SECONDS)
    overdue = await in_db(overdue_lines, OVERDUE_SECONDS)
    for conversation_id in overdue:
        await go_on(conversation_id)
    if published or overdue:
        metrics.recoveries["waiting_lines"] += len(overdue) or 1
        logger.info("waiting_lines_recovered", lines=[str(one) for one in overdue], published=published)

"""Which models may answer in place of the chosen one."""

from __future__ import annotations

import uuid

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.catalog.access import may_use

logger = structlog.get_logger(__name__)


async def may_answer(user_id: uuid.UUID | None, model: str) -> bool:
    """Whether this user may use `model`, which would answer in place of another one. Without PostgreSQL: no."""
    try:
        return await in_db(may_use, user_id, model)
    except OUTAGE as error:
        logger.warning("model_rules_not_read", error=type(error).__name__)
        return False

"""The gauges of `config.ops.upkeep`: disks of this process's machine, the age of the last backup, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from accounts.staff.budgets import read_spending
from config.ops.upkeep import read_backup_state, read_disks

DISK_GAUGES: Final = ("disk_free_bytes", "disk_size_bytes")
UPKEEP_GAUGES: Final = ("backup_age_seconds", "backup_overdue", "budget_spent", "budget_amount")

logger = structlog.get_logger(__name__)


def disk_gauges() -> dict[str, float | Mapping[str, float]]:
    """By folder. A disk that cannot be read is not exported."""
    try:
        disks = read_disks()
    except OSError as error:
        logger.warning("disks_not_read", errno=error.errno)
        return {}
    return {
        "disk_free_bytes": {one.name: float(one.free) for one in disks},
        "disk_size_bytes": {one.name: float(one.size) for one in disks},
    }


def upkeep_gauges() -> dict[str, float | Mapping[str, float]]:
    """From PostgreSQL. Raises a database error."""
    backup, spending = read_backup_state(), read_spending()
    found: dict[str, float | Mapping[str, float]] = {
        "backup_overdue": float(backup.is_overdue or bool(backup.error)),
        "budget_spent": {one.name: float(one.spent) for one in spending},
        "budget_amount": {one.name: float(one.amount) for one in spending},
    }
    if backup.age is not None:
        found["backup_age_seconds"] = backup.age
    return found

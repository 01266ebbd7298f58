"""Whether staff have stopped all tools: one row, read at most twice a second in each process."""

from __future__ import annotations

import time
from typing import Final

from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from accounts.models import User
from chat.models import ToolSwitch

FRESH_SECONDS: Final = 0.5  # so that no call begins later than this after the switch was committed
STOPPED: Final = "Tools are switched off for now."

_read: tuple[float, str | None] | None = None  # when the row was read, and what it says


def tools_stopped() -> str | None:
    """The sentence for people and models while all tools are stopped, with staff's reason; None: calls may begin.

    It may be `FRESH_SECONDS` old. It asks the database, so call it from a thread where loops run.
    """
    global _read
    now = time.monotonic()
    if _read is None or now - _read[0] >= FRESH_SECONDS:
        row = ToolSwitch.objects.filter(pk=1).values_list("stopped", "reason").first()
        _read = (now, sentence(row[1]) if row is not None and row[0] else None)
    return _read[1]


def sentence(reason: str) -> str:
    """What people read while tools are stopped."""
    return f"{STOPPED} {reason}".strip()


def switch_tools(stopped: bool, reason: str, by: User | AnonymousUser | None) -> bool:
    """Stops all tools, or lets calls begin again. False if they were so already, with the same reason.

    Other processes see it within `FRESH_SECONDS` of the commit, this one at once.
    """
    reason = " ".join(reason.split())[:200] if stopped else ""
    with transaction.atomic():
        ToolSwitch.objects.get_or_create(pk=1)
        row = ToolSwitch.objects.select_for_update().get(pk=1)
        if (row.stopped, row.reason) == (stopped, reason):
            return False
        row.stopped, row.reason = stopped, reason
        row.changed_by = by if isinstance(by, User) else None
        row.save()
        transaction.on_commit(forget)
    return True


def forget() -> None:
    """The next `tools_stopped` asks the database."""
    global _read
    _read = None

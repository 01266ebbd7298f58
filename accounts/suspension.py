"""Suspension: an account that can read but not write until a time, which then ends by itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.lib.texts import retold
from accounts.models import User

MOST_REASON: Final = 300  # characters

Listener = Callable[[uuid.UUID, "datetime | None", str], None]
_listeners: list[Listener] = []


def register_suspension_listener(listener: Listener) -> None:
    """Has `listener(user_id, until, reason)` called after each change; `until` is None when a suspension is lifted."""
    if listener not in _listeners:
        _listeners.append(listener)


def suspend(user: User, until: datetime, reason: str) -> None:
    """Suspends the account until a time, for a reason that the user reads. Replaces a suspension that there is."""
    _store(user, until, reason[:MOST_REASON])


def lift(user: User) -> bool:
    """Ends a suspension now. False if the account is not suspended."""
    if not is_suspended(user):
        return False
    _store(user, None, "")
    return True


def is_suspended(user: User) -> bool:
    return user.suspended_until is not None and user.suspended_until > timezone.now()


def sentence(until: datetime, reason: str) -> str:
    """Until when an account is suspended and why, for its owner."""
    text = _("Your account is suspended until %(time)s. You can read, but not write.") % {
        "time": date_format(timezone.localtime(until), "d M Y, H:i T")
    }
    return f"{text} {retold(reason)}" if reason else text


def _store(user: User, until: datetime | None, reason: str) -> None:
    user.suspended_until, user.suspension_reason = until, reason
    user.save(update_fields=["suspended_until", "suspension_reason"])
    for listener in _listeners:
        transaction.on_commit(partial(listener, user.pk, until, reason), robust=True)

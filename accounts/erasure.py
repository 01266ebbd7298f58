"""Erasing a person with a grace: switched off at once, gone later, and reversible until then.

What there is about a person beyond their account is another app's to know. It registers `UserData` at start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User


class LastAdministratorError(Exception):
    """Nobody could administer the site any more."""

    def __init__(self) -> None:
        super().__init__("This is the last administrator: make another first.")


@dataclass(frozen=True, slots=True)
class UserData:
    """How to export and count everything stored about a user beyond the account itself."""

    export: Callable[[User], Iterator[str]]  # JSON text in pieces, each of bounded size
    report: Callable[[User], dict[str, int]]  # how many rows an erasure would delete and keep, by name


_registered: list[UserData] = []


def register_user_data(data: UserData) -> None:
    """Called once, when the app that stores the users' data is ready."""
    _registered[:] = [data]


def user_data() -> UserData:
    return _registered[0]


def guard_last_administrator(user: User) -> None:
    """Raises `LastAdministratorError`. Call it in the transaction that takes the administrator away: two at once
    are counted one after the other.
    """
    left = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if [one.pk for one in left] == [user.pk]:
        raise LastAdministratorError


def switch_off(user: User) -> None:
    """Ends every session, and lets nobody in. Raises `LastAdministratorError`."""
    with transaction.atomic():
        guard_last_administrator(user)
        user.is_active = False
        user.save(update_fields=["is_active"])


def switch_on(user: User) -> bool:
    """False for who is to be erased: that has to be called off first."""
    if user.erase_at is not None:
        return False
    user.is_active = True
    user.save(update_fields=["is_active"])
    return True


def schedule(user: User, days: int | None = None) -> datetime:
    """Switches the account off now and has it erased after so many days (ERASE_GRACE_DAYS); says when.

    Asked again, nothing changes. Raises `LastAdministratorError`.
    """
    with transaction.atomic():
        guard_last_administrator(user)
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.erase_at is None:
            locked.erase_at = timezone.now() + timedelta(days=settings.ERASE_GRACE_DAYS if days is None else days)
            locked.was_active, locked.is_active = locked.is_active, False
            locked.save(update_fields=["erase_at", "was_active", "is_active"])
    _copy(locked, user)
    assert locked.erase_at is not None
    return locked.erase_at


def cancel(user: User) -> bool:
    """Leaves the account as it was before `schedule`; False when there is nothing to call off."""
    with transaction.atomic():
        locked = User.objects.select_for_update().filter(pk=user.pk, erase_at__isnull=False).first()
        if locked is None:
            return False
        locked.erase_at, locked.is_active = None, locked.was_active
        locked.save(update_fields=["erase_at", "is_active"])
    _copy(locked, user)
    return True


def due() -> QuerySet[User]:
    """Whose grace is over."""
    return User.objects.filter(erase_at__lte=timezone.now()).order_by("erase_at")


def _copy(saved: User, user: User) -> None:
    for name in ("erase_at", "was_active", "is_active"):
        value: Any = getattr(saved, name)
        setattr(user, name, value)

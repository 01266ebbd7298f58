"""Erasure of users: the account is disabled at once and erased after a grace period, during which it can be cancelled.

The app that stores a user's data registers `UserData` when it is ready.
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
    """The change would leave the site without an administrator."""

    def __init__(self) -> None:
        super().__init__("This is the last administrator. Make another user an administrator first.")


@dataclass(frozen=True, slots=True)
class UserData:
    """Exports, counts and merges the data of users that other apps store."""

    export: Callable[[User], Iterator[str]]  # JSON text in pieces of bounded size
    report: Callable[[User], dict[str, int]]  # how many rows an erasure would delete and keep, by name
    handovers: Callable[[User], list[tuple[str, str]]]  # titles of conversations that others get, and their names
    # Moves what the first one has to the second one and deletes the first account; and what that would move and drop.
    merge: Callable[[User, User], dict[str, int]]
    merge_report: Callable[[User, User], dict[str, int]]


_registered: list[UserData] = []


def register_user_data(data: UserData) -> None:
    """Registers the export and the report. The app that stores the data calls it when it is ready."""
    _registered[:] = [data]


def user_data() -> UserData:
    """What was registered."""
    return _registered[0]


def guard_last_administrator(user: User) -> None:
    """Raises `LastAdministratorError` if `user` is the only active superuser.

    Call it in the transaction of the change. It locks the superusers, so simultaneous changes are checked in turn.
    """
    left = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if [one.pk for one in left] == [user.pk]:
        raise LastAdministratorError


def disable(user: User) -> None:
    """Disables the account and ends its sessions. Raises `LastAdministratorError`."""
    with transaction.atomic():
        guard_last_administrator(user)
        user.is_active = False
        user.save(update_fields=["is_active"])


def enable(user: User) -> bool:
    """Enables the account. False if it is scheduled for erasure or waits for approval, which must be decided first."""
    if user.erase_at is not None or user.awaits_approval:
        return False
    user.is_active = True
    user.save(update_fields=["is_active"])
    return True


def approve(user: User) -> bool:
    """Lets in a user who waits for approval. False if they do not wait, or if an erasure is scheduled."""
    waiting = User.objects.filter(pk=user.pk, awaits_approval=True, erase_at=None)
    if not waiting.update(is_active=True, awaits_approval=False):
        return False
    user.is_active, user.awaits_approval = True, False
    return True


def schedule(user: User, days: int | None = None, *, asked: bool = False) -> datetime:
    """Disables the account now and schedules its erasure after `days` (default: ERASE_GRACE_DAYS). Returns when.

    `asked`: by the user, who may then also keep the account. A second call changes nothing. Raises
    `LastAdministratorError`.
    """
    with transaction.atomic():
        guard_last_administrator(user)
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.erase_at is None:
            locked.erase_at = timezone.now() + timedelta(days=settings.ERASE_GRACE_DAYS if days is None else days)
            locked.was_active, locked.is_active, locked.erase_asked = locked.is_active, False, asked
            locked.save(update_fields=["erase_at", "erase_asked", "was_active", "is_active"])
    _copy(locked, user)
    assert locked.erase_at is not None
    return locked.erase_at


def cancel(user: User, *, by_user: bool = False) -> bool:
    """Cancels the erasure and restores the account's state. False if no erasure is scheduled; `by_user`: also if it
    was not the user who asked for it.
    """
    with transaction.atomic():
        rows = User.objects.select_for_update().filter(pk=user.pk, erase_at__isnull=False)
        locked = (rows.filter(erase_asked=True) if by_user else rows).first()
        if locked is None:
            return False
        locked.erase_at, locked.erase_asked, locked.is_active = None, False, locked.was_active
        locked.save(update_fields=["erase_at", "erase_asked", "is_active"])
    _copy(locked, user)
    return True


def due() -> QuerySet[User]:
    """The users whose grace period is over, in order."""
    return User.objects.filter(erase_at__lte=timezone.now()).order_by("erase_at")


def _copy(saved: User, user: User) -> None:
    for name in ("erase_at", "erase_asked", "was_active", "is_active"):
        value: Any = getattr(saved, name)
        setattr(user, name, value)

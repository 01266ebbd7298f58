"""Acts that need a second member of staff (the setting FOUR_EYES): erasing a user, exports, and merging two users.

One asks, with a reason; another one with the same permission approves or refuses within `WAITING_DAYS`. An erasure is
then scheduled at once; an export may be downloaded, or two users merged, once within `USABLE_HOURS`, by whoever asked
for it. A merge ends an account and shows its contents to another one, so either word of the setting includes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import erasure, roles
from accounts.models import ActKind, ActState, PendingAct, User

WAITING_DAYS: Final = 7
USABLE_HOURS: Final = 24
PERMISSIONS: Final = {
    ActKind.ERASE_USER: "accounts.erase_user",
    ActKind.EXPORT_USER: "accounts.export_user",
    ActKind.EXPORT_LIST: "accounts.export_lists",
    ActKind.MERGE_USER: "accounts.merge_user",
}
_SETTING: Final = {
    ActKind.ERASE_USER: {"erase"},
    ActKind.EXPORT_USER: {"export"},
    ActKind.EXPORT_LIST: {"export"},
    ActKind.MERGE_USER: {"erase", "export"},
}


class NotDecidableError(Exception):
    """Why this person cannot decide this request: `own`, `permission` or `late`."""


def is_needed(kind: ActKind) -> bool:
    """Whether the site demands a second person for an act."""
    return bool(_SETTING[kind] & set(settings.FOUR_EYES))


def ask(kind: ActKind, by: User, reason: str, *, user: User | None = None, what: str = "") -> bool:
    """Asks for an act. False if the same request waits already."""
    expire()
    try:
        with transaction.atomic():
            PendingAct.objects.create(kind=kind, user=user, what=what[:500], reason=reason[:500], asked_by=by)
    except IntegrityError:
        return False
    return True


def take_approved(kind: ActKind, by: User, *, user: User | None = None, what: str = "") -> bool:
    """Whether this person may do now what they asked for. It counts as done then."""
    since = timezone.now() - timedelta(hours=USABLE_HOURS)
    with transaction.atomic():
        rows = PendingAct.objects.select_for_update(of=("self",)).filter(
            kind=kind, user=user, what=what[:500], asked_by=by, state=ActState.APPROVED, decided_at__gte=since
        )
        row = rows.order_by("pk").first()
        if row is None:
            return False
        row.state = ActState.DONE
        row.save(update_fields=["state"])
    return True


def check_decidable(act: PendingAct, by: User) -> None:
    """Raises `NotDecidableError`."""
    if act.asked_by_id == by.pk:
        raise NotDecidableError("own")
    may = by.has_perm(PERMISSIONS[ActKind(act.kind)]) and (act.user is None or roles.may_manage(by, act.user))
    if not may:
        raise NotDecidableError("permission")
    if act.state != ActState.WAITING or act.asked_at < timezone.now() - timedelta(days=WAITING_DAYS):
        raise NotDecidableError("late")


def waiting_for(by: User) -> QuerySet[PendingAct]:
    """The requests that this person has the permission to decide. Those that concern somebody whom only administrators
    may manage are among them, too.
    """
    kinds = [kind for kind, name in PERMISSIONS.items() if by.has_perm(name)]
    since = timezone.now() - timedelta(days=WAITING_DAYS)
    waiting = PendingAct.objects.filter(kind__in=kinds, state=ActState.WAITING, asked_at__gte=since)
    return waiting.exclude(asked_by=by)


def decide(act: PendingAct, by: User, *, approve: bool) -> None:
    """Approves or refuses; an approved erasure is scheduled. Raises `NotDecidableError`, `LastAdministratorError`."""
    with transaction.atomic():
        locked = PendingAct.objects.select_for_update(of=("self",)).select_related("user").get(pk=act.pk)
        check_decidable(locked, by)
        locked.state = ActState.APPROVED if approve else ActState.REFUSED
        if approve and locked.kind == ActKind.ERASE_USER:
            assert locked.user is not None
            erasure.schedule(locked.user)
            locked.state = ActState.DONE
        locked.decided_by, locked.decided_at = by, timezone.now()
        locked.save(update_fields=["state", "decided_by", "decided_at"])


def expire() -> None:
    """Refuses what has waited too long, so that it can be asked for again."""
    late = timezone.now() - timedelta(days=WAITING_DAYS)
    PendingAct.objects.filter(state=ActState.WAITING, asked_at__lt=late).update(
        state=ActState.REFUSED, decided_at=timezone.now()
    )

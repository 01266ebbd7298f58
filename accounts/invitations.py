"""Invitations: an address gets a link that makes one account, with a plan and a role its sender may give.

The link's secret is 256 random bits, kept as a hash. What it gives is asked again when it is used: it is worth nothing
once its sender is gone, switched off, or may not give that any more.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import roles
from accounts.lib import rate_limit
from accounts.models import Invitation, Plan, User

PER_ADDRESS: Final = "5/d"  # mails to one address, whoever sends them


class InvitationError(Exception):
    """The argument is a sentence for the sender."""


def open_invitations() -> QuerySet[Invitation]:
    """Neither accepted nor revoked nor too old."""
    unused = Invitation.objects.filter(accepted_at=None, revoked_at=None)
    return unused.filter(expires_at__gt=timezone.now()).select_related("by", "plan", "role")


def state(invitation: Invitation) -> str:
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    return "open" if invitation.expires_at > timezone.now() else "expired"


def may_give(by: User, plan: Plan | None, role: Group | None) -> bool:
    """Whether `by` may invite somebody with this plan and role."""
    return (
        by.has_perm("accounts.invite_user")
        and (plan is None or by.has_perm("accounts.assign_plan"))
        and (role is None or roles.may_grant(by, role))
    )


def invite(by: User, email: str, plan: Plan | None = None, role: Group | None = None) -> tuple[Invitation, str]:
    """The invitation and its secret. Raises `InvitationError`."""
    email = email.strip().lower()
    if not may_give(by, plan, role):
        raise InvitationError("You may not give that plan or role.")
    if User.objects.filter(email__iexact=email).exists():
        raise InvitationError(f"{email} has an account already.")
    if open_invitations().filter(email__iexact=email).exists():
        raise InvitationError(f"{email} is invited already: send that one again, or revoke it.")
    _count(by, email)
    secret, hash_ = _secret()
    with transaction.atomic():
        # One that is too old makes room for this one; two at the same moment meet the constraint.
        _unused(email).update(revoked_at=timezone.now())
        made = Invitation.objects.create(
            email=email, plan=plan, role=role, by=by, token_hash=hash_, expires_at=_expiry()
        )  # fmt: skip
    return made, secret


def renew(by: User, invitation: Invitation) -> str:
    """A new secret and a new time for the same invitation, which is `by`'s from now on. Raises `InvitationError`."""
    if not may_give(by, invitation.plan, invitation.role):
        raise InvitationError("You may not give that plan or role.")
    if User.objects.filter(email__iexact=invitation.email).exists():
        raise InvitationError(f"{invitation.email} has an account already.")
    _count(by, invitation.email)
    secret, hash_ = _secret()
    fresh: dict[str, Any] = {"token_hash": hash_, "expires_at": _expiry(), "by": by, "mailed_at": None}
    if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(**fresh):
        raise InvitationError("This invitation is used or revoked: make another one.")
    invitation.refresh_from_db()
    return secret


def revoke(invitation: Invitation) -> bool:
    """Whether there was anything to revoke."""
    unused = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    return bool(unused.update(revoked_at=timezone.now()))


def find(secret: str) -> Invitation | None:
    """The open invitation of a link's secret, if it is still worth something."""
    return find_by_hash(_hash(secret))


def find_by_hash(hash_: str) -> Invitation | None:
    found = open_invitations().filter(token_hash=hash_).first()
    return found if found is not None and _is_backed(found) else None


def hold(hash_: str) -> Invitation | None:
    """The open invitation, locked until the caller's transaction ends: of two at once the second gets None."""
    held = open_invitations().select_for_update(of=("self",)).filter(token_hash=hash_).first()
    return held if held is not None and _is_backed(held) else None


def fulfil(held: Invitation, user: User) -> None:
    """Gives a new account what the invitation promised, in the transaction of `hold`."""
    user.plan = held.plan
    if held.role is not None:
        user.is_staff = user.is_staff or held.role.permissions.exists()
        user.groups.add(held.role)
    user.save(update_fields=["plan", "is_staff"])
    held.accepted_at, held.accepted_by = timezone.now(), user
    held.save(update_fields=["accepted_at", "accepted_by"])


def _is_backed(invitation: Invitation) -> bool:
    by = invitation.by
    return by is not None and by.is_active and may_give(by, invitation.plan, invitation.role)


def _unused(email: str) -> QuerySet[Invitation]:
    return Invitation.objects.filter(email__iexact=email, accepted_at=None, revoked_at=None)


def _count(by: User, email: str) -> None:
    named = (f"invitations:{by.pk.hex}", settings.RATE_INVITATIONS), (f"invited:{_hash(email)}", PER_ADDRESS)
    if wait := rate_limit.try_acquire(rate_limit.required_limits(*named)):
        raise InvitationError(f"Too many invitations in a short time. Try again in {int(wait // 60) + 1} min.")


def _secret() -> tuple[str, str]:
    secret = secrets.token_urlsafe(32)
    return secret, _hash(secret)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _expiry() -> Any:
    return timezone.now() + timedelta(days=settings.INVITATION_DAYS)

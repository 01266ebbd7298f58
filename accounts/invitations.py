"""Invitations: a link that creates one account for an email address, with a plan and a role that its sender may assign.

The link's secret is 256 random bits, stored as a hash. The sender's permissions are checked again when it is used: the
link is invalid if the sender was erased or disabled, or may no longer assign the plan or role.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import roles
from accounts.lib import rate_limit
from accounts.lib.link_secrets import hash_of, new_secret
from accounts.models import Invitation, Plan, User

PER_ADDRESS: Final = "5/d"  # mails to one address, from all senders together


class InvitationError(Exception):
    """The invitation is refused. The argument is a sentence for the sender."""


def open_invitations() -> QuerySet[Invitation]:
    """Invitations that are neither accepted, revoked nor expired."""
    unused = Invitation.objects.filter(accepted_at=None, revoked_at=None)
    return unused.filter(expires_at__gt=timezone.now()).select_related("by", "plan", "role")


def state(invitation: Invitation) -> str:
    """accepted, revoked, open or expired."""
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    return "open" if invitation.expires_at > timezone.now() else "expired"


def may_invite(by: User, plan: Plan | None, role: Group | None) -> bool:
    """Whether `by` may invite a user with this plan and role."""
    return (
        by.has_perm("accounts.invite_user")
        and (plan is None or by.has_perm("accounts.assign_plan"))
        and (role is None or roles.may_grant(by, role))
    )


def invite(by: User, email: str, plan: Plan | None = None, role: Group | None = None) -> tuple[Invitation, str]:
    """Creates an invitation. Returns it and its secret. Raises `InvitationError`."""
    email = email.strip().lower()
    if not may_invite(by, plan, role):
        raise InvitationError("You may not assign this plan or role.")
    if User.objects.filter(email__iexact=email).exists():
        raise InvitationError(f"{email} already has an account.")
    if open_invitations().filter(email__iexact=email).exists():
        raise InvitationError(f"{email} is already invited. Send that invitation again or revoke it.")
    _count(by, email)
    secret, hash_ = new_secret()
    with transaction.atomic():
        # Expired invitations are revoked, so the constraint only refuses a simultaneous second one.
        _unused(email).update(revoked_at=timezone.now())
        made = Invitation.objects.create(
            email=email, plan=plan, role=role, by=by, token_hash=hash_, expires_at=_expiry()
        )  # fmt: skip
    return made, secret


def renew(by: User, invitation: Invitation) -> str:
    """Gives the invitation a new secret and expiry, with `by` as its sender. Raises `InvitationError`."""
    if not may_invite(by, invitation.plan, invitation.role):
        raise InvitationError("You may not assign this plan or role.")
    if User.objects.filter(email__iexact=invitation.email).exists():
        raise InvitationError(f"{invitation.email} already has an account.")
    _count(by, invitation.email)
    secret, hash_ = new_secret()
    fresh: dict[str, Any] = {"token_hash": hash_, "expires_at": _expiry(), "by": by, "mailed_at": None}
    if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(**fresh):
        raise InvitationError("This invitation was used or revoked. Create a new one.")
    invitation.refresh_from_db()
    return secret


def revoke(invitation: Invitation) -> bool:
    """Revokes an unused invitation. Returns whether it was unused."""
    unused = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    return bool(unused.update(revoked_at=timezone.now()))


def find(secret: str) -> Invitation | None:
    """The open invitation of a link's secret, if its sender may still invite."""
    return find_by_hash(hash_of(secret))


def find_by_hash(hash_: str) -> Invitation | None:
    """As `find`, by the hash of the secret."""
    found = open_invitations().filter(token_hash=hash_).first()
    return found if found is not None and _is_backed(found) else None


def lock(hash_: str) -> Invitation | None:
    """The open invitation, locked until the transaction ends. Of two simultaneous callers the second gets None."""
    locked = open_invitations().select_for_update(of=("self",)).filter(token_hash=hash_).first()
    return locked if locked is not None and _is_backed(locked) else None


def accept(invitation: Invitation, user: User) -> None:
    """Gives a new account the plan and role of the invitation, in the transaction of `lock`."""
    user.plan = invitation.plan
    if invitation.role is not None:
        user.is_staff = user.is_staff or invitation.role.permissions.exists()
        user.groups.add(invitation.role)
    user.save(update_fields=["plan", "is_staff"])
    invitation.accepted_at, invitation.accepted_by = timezone.now(), user
    invitation.save(update_fields=["accepted_at", "accepted_by"])


def _is_backed(invitation: Invitation) -> bool:
    by = invitation.by
    return by is not None and by.is_active and may_invite(by, invitation.plan, invitation.role)


def _unused(email: str) -> QuerySet[Invitation]:
    return Invitation.objects.filter(email__iexact=email, accepted_at=None, revoked_at=None)


def _count(by: User, email: str) -> None:
    named = (f"invitations:{by.pk.hex}", settings.RATE_INVITATIONS), (f"invited:{hash_of(email)}", PER_ADDRESS)
    if wait := rate_limit.try_acquire(rate_limit.required_limits(*named)):
        raise InvitationError(f"Too many invitations. Try again in {int(wait // 60) + 1} min.")


def _expiry() -> Any:
    return timezone.now() + timedelta(days=settings.INVITATION_DAYS)

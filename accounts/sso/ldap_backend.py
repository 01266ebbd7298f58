"""Logs people in with the password of their LDAP directory. Each log-in takes over their groups, as claims are.

Tried after the site's own passwords. Failures count under the same limits. An account here is connected by its
address, unless somebody has signed up with the address and a password without confirming that it is theirs.
"""

from __future__ import annotations

from typing import Any

import structlog
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.backends import BaseBackend
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts import invitations
from accounts.features import sign_up_rule
from accounts.lib.names import shown_name
from accounts.models import User
from accounts.security_log import report
from accounts.sso.claims import apply_claims
from accounts.sso.ldap_directory import DirectoryError, Entry, find_and_check

logger = structlog.get_logger(__name__)


class LdapBackend(BaseBackend):
    def authenticate(
        self, request: HttpRequest | None, email: str | None = None, password: str | None = None, **_kwargs: Any
    ) -> User | None:
        if not email or not password or settings.SSO_ONLY:
            return None
        try:
            entry = find_and_check(email.strip(), password)
        except DirectoryError as error:
            logger.warning("ldap_not_asked", reason=str(error)[:200])
            return None
        if entry is None:
            return None
        if not entry.email:
            logger.warning("ldap_log_in_refused", reason="the entry has no mail")
            return None
        return _user_of(request, entry)

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first()


def _user_of(request: HttpRequest | None, entry: Entry) -> User | None:
    """The account of somebody whose password was right, made if the settings allow it; None if it must not be used."""
    assert settings.LDAP_CLAIMS is not None
    user = User.objects.filter(email__iexact=entry.email).first()
    if user is None:
        user = _create(entry)
        if user is None:
            _refuse(request, entry, "no account")
            return None
    elif user.has_usable_password() and not _is_verified(user):
        # Somebody else may have signed up with the address, and would know the account's password.
        _refuse(request, entry, "unconnected")
        return None
    changed = apply_claims(user, settings.LDAP_CLAIMS, {"groups": sorted(entry.groups)})
    if changed and request is not None:
        report(request, "sso_claims_applied", user, details=f"ldap: {changed}")
    if not user.is_active:
        AuthenticationBackend._stash_user(user)  # noqa: SLF001  # allauth then shows why it is not let in
        return None
    return user


def _refuse(request: HttpRequest | None, entry: Entry, why: str) -> None:
    logger.warning("ldap_log_in_refused", reason=why)
    if request is not None:
        report(request, "sso_refused", None, email=entry.email, details=f"ldap: {why}")


def _is_verified(user: User) -> bool:
    """Whether the address is known to be the owner's: confirmed, or entered by staff, who made the account."""
    rows = EmailAddress.objects.filter(user=user, email__iexact=user.email)
    return bool(rows.filter(verified=True).exists()) or not rows.exists()


def _create(entry: Entry) -> User | None:
    """A new account without a password of its own; None where only invited people may have one."""
    found = invitations.open_invitations().filter(email__iexact=entry.email).first()
    if not settings.LDAP_SIGN_UP and sign_up_rule() == "invitation" and found is None:
        return None
    waits = sign_up_rule() == "approval" and not settings.LDAP_SIGN_UP and found is None
    try:
        with transaction.atomic():
            invitation = invitations.lock(found.token_hash) if found is not None else None
            user = User.objects.create_user(
                entry.email, None, name=shown_name(entry.name)[:120], is_active=not waits, awaits_approval=waits
            )
            EmailAddress.objects.create(user=user, email=entry.email, primary=True, verified=True)
            if invitation is not None:
                invitations.accept(invitation, user)
    except IntegrityError:  # another log-in of the same person made it
        return User.objects.filter(email__iexact=entry.email).first()
    return user

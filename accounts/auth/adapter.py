"""What Antiphon decides where allauth asks."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest

from accounts.auth.counters import logins


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Sign-up by setting or invitation, and failed logins counted so that nobody can lock another person out."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN) or getattr(request, "invitation", None) is not None

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """A link that came by mail proves the address it was sent to."""
        invitation = getattr(request, "invitation", None)
        if invitation is not None and invitation.mailed_at is not None and invitation.email == email.lower():
            return True
        return bool(super().is_email_verified(request, email))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts failures per address and site wherever they come from, so five wrong guesses from anywhere
        # would shut the owner out. Counted per address and place, they shut out the one who guesses.
        login = credentials.get("email", "").lower()
        return f"{login}|{client_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:  # too many failures
            logins["locked"] += 1
            raise

    def get_client_ip(self, request: HttpRequest) -> str:
        try:
            return str(super().get_client_ip(request))
        except PermissionDenied:
            return "0.0.0.0"  # noqa: S104  # a unix socket's client has no address; all of them share one limit


def client_ip(request: HttpRequest) -> str | None:
    """The client's address, through as many proxies as TRUSTED_PROXIES says; None when there is none."""
    ip = AccountAdapter(request).get_client_ip(request)
    return None if ip == "0.0.0.0" else ip  # noqa: S104  # the mark of "none" above

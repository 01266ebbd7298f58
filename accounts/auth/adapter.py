"""Antiphon's settings of allauth: who may sign up, failed log-ins, the client's address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest

from accounts.auth.counters import logins


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Allows sign-up by setting or invitation, and counts failed log-ins so that nobody can lock another user out."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN) or getattr(request, "invitation", None) is not None

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """Whether the address is verified: an opened invitation link verifies the address it was mailed to."""
        invitation = getattr(request, "invitation", None)
        if invitation is not None and invitation.mailed_at is not None and invitation.email == email.lower():
            return True
        return bool(super().is_email_verified(request, email))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends a mail under the site's own name and address, whichever host name the request came to."""
        site = {"site_name": settings.SITE_NAME, "site_url": site_url(self.request)}
        super().send_mail(template_prefix, email, {**site, **context})

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _on_site(request, super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _on_site(self.request, super().get_reset_password_from_key_url(key))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts failures per email address, so five wrong guesses from anywhere would lock the owner out.
        # Counted per email address and IP address, they lock out only the client that guesses.
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
            return "0.0.0.0"  # noqa: S104  # clients of a unix socket have no address and share one limit


def site_url(request: HttpRequest) -> str:
    """The site's origin for links in mails, such as `https://chat.example.org`.

    It is the request's own where ALLOWED_ORIGINS lists it or is empty, else the first that is listed.
    """
    own = request.build_absolute_uri("/").rstrip("/")
    known = settings.ALLOWED_ORIGINS
    return own if not known or own in known else str(known[0])


def _on_site(request: HttpRequest, url: str) -> str:
    """The same path on the site's origin."""
    parts = urlsplit(url)
    return site_url(request) + urlunsplit(("", "", *parts[2:]))


def client_ip(request: HttpRequest) -> str | None:
    """The client's IP address behind the number of proxies in TRUSTED_PROXIES. None for a unix socket."""
    ip = AccountAdapter(request).get_client_ip(request)
    return None if ip == "0.0.0.0" else ip  # noqa: S104  # as above

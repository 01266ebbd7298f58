"""Antiphon's settings of allauth: who may sign up, failed log-ins, the client's address."""

from __future__ import annotations

import smtplib
import threading
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog
from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.mail import EmailMessage
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.auth import guessing
from accounts.auth.counters import logins
from accounts.auth.inactive import remember_inactive
from accounts.auth.language import speaking_to_address
from accounts.features import sign_up_rule
from accounts.lib.rate_limit import network_of
from accounts.models import User
from accounts.site import site

account_locked = Signal()
"""Sent with `request`, `user` (None for an unknown address) and `email` when an account is locked."""

logger = structlog.get_logger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Allows sign-up by setting or invitation, and counts failed log-ins so that nobody can lock another user out."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        if settings.SSO_ONLY:
            return False  # providers decide (accounts.sso.adapter)
        return sign_up_rule() != "invitation" or getattr(request, "invitation", None) is not None

    def is_safe_url(self, url: str) -> bool:
        """Whether a page of this site may lead on to this address, which may come from anybody's link."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:  # such as http://[::1
            return False

    def pre_login(self, request: HttpRequest, user: User, **facts: Any) -> HttpResponse | None:
        """With SSO_ONLY, passwords and passkeys log in the emergency administrator alone."""
        by_provider = "sociallogin" in (facts.get("signal_kwargs") or {})
        if settings.SSO_ONLY and not by_provider and user.email.lower() != settings.SSO_EMERGENCY_ADMIN:
            logins["sso_only"] += 1
            messages.error(request, _("This site lets you log in through a provider only."))
            return redirect("account_login")
        answer: HttpResponse | None = super().pre_login(request, user, **facts)
        return answer

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Whoever has just logged in sets up their first factor without a further proof."""
        request = self.request
        user = request.user
        if app == "allauth.mfa" and isinstance(user, User) and not Authenticator.objects.filter(user=user).exists():
            records = get_authentication_records(request, user)
            if records and time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT:
                return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Saves a new account. With SIGN_UP=approval it stays inactive until staff approve it, unless invited."""
        if sign_up_rule() == "approval" and getattr(request, "invitation", None) is None:
            user.is_active, user.awaits_approval = False, True
        saved: User = super().save_user(request, user, form, commit)
        return saved

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        if user.awaits_approval:
            return redirect("account_waiting")
        remember_inactive(request, user)
        return redirect("account_keep" if user.erase_at is not None and user.erase_asked else "account_inactive")

    def respond_email_verification_sent(self, request: HttpRequest, user: User | None) -> HttpResponseBase:
        # Without a user, somebody signed up with an address that has an account: the page must be that of a new one.
        if user is None and sign_up_rule() == "approval":
            return redirect("account_waiting")
        answer: HttpResponseBase = super().respond_email_verification_sent(request, user)
        return answer

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """Whether the address is verified: an opened invitation link verifies the address it was mailed to."""
        invitation = getattr(request, "invitation", None)
        if invitation is not None and invitation.mailed_at is not None and invitation.email == email.lower():
            return True
        return bool(super().is_email_verified(request, email))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends a mail under the site's own name and address, whichever host name the request came to.

        Without a mail server nothing is sent, and the text appears nowhere: it may hold a link that logs somebody in.
        """
        if not mail_is_configured():
            logger.warning("mail_not_sent", template=template_prefix, reason="EMAIL_HOST is not set")
            return
        names = {"site_name": site().name, "site_url": site_url(self.request)}
        super().send_mail(template_prefix, email, {**names, **context})

    def render_mail(self, template_prefix: str, email: str, context: dict[str, Any], headers: Any = None) -> Any:
        """The mail in the language of whoever gets it."""
        with speaking_to_address(email):
            return super().render_mail(template_prefix, email, context, headers)

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _on_site(request, super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return reset_link(self.request, key)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts failures per email address, so five wrong guesses from anywhere would lock the owner out.
        # Counted per email address and network, they lock out only the place that guesses.
        login = credentials.get("email", "").lower()
        return f"{login}|{place_of(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuses after too many failures of this network, or of this account from all networks together."""
        try:
            super().pre_authenticate(request, **credentials)
            if guessing.is_locked(credentials.get("email", ""), place_of(request)):
                raise self.validation_error("too_many_login_attempts")
        except ValidationError:
            logins["locked"] += 1
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        email = credentials.get("email", "")
        self.count_failure(request, email, User.objects.filter(email__iexact=email).first() if email else None)

    def count_failure(self, request: HttpRequest, email: str, user: User | None) -> None:
        """Counts a wrong password or code of an account, which may lock it for unknown networks."""
        if guessing.count_failure(email):
            account_locked.send(sender=User, request=request, user=user, email=email)
            if user is not None:
                self.mail_owner("account/email/account_locked", user)

    def mail_owner(self, template: str, user: User, **context: Any) -> None:
        """Mails the owner of an account in a thread: waiting for the mail server would reveal that it exists."""
        if not mail_is_configured():
            return
        request = self.request
        shown = {
            "user": user, "ip": client_ip(request), "timestamp": timezone.now(), "site_name": site().name,
            "site_url": site_url(request), "user_agent": self.get_http_user_agent(request)[:200], **context,
        }  # fmt: skip
        message = self.render_mail(template, user.email, shown)
        threading.Thread(target=_send, args=[message], name="mail", daemon=True).start()

    def get_login_stages(self) -> list[str]:
        own = {"allauth.mfa.stages.AuthenticateStage": "accounts.auth.second_factor.stage.SecondFactorStage"}
        return [own.get(stage, stage) for stage in super().get_login_stages()]

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Password first, codes last: whoever has a passkey and no password is asked for the passkey."""
        found: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return sorted(found, key=lambda one: bool(one["id"] == "mfa_reauthenticate"))

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Also to users whose address allauth does not know: those whom staff have created."""
        super().send_notification_mail(template_prefix, user, context, email or user.email)

    def get_client_ip(self, request: HttpRequest) -> str:
        try:
            return str(super().get_client_ip(request))
        except PermissionDenied:
            return "0.0.0.0"  # noqa: S104  # clients of a unix socket have no address and share one limit


def mail_is_configured() -> bool:
    """Whether mail reaches anybody."""
    return bool(settings.EMAIL_HOST) or not settings.EMAIL_BACKEND.endswith(
        ("console.EmailBackend", "dummy.EmailBackend")
    )


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("account_mail_failed", error=type(error).__name__)


def reset_link(request: HttpRequest, key: str) -> str:
    """A link to choose a new password. The secret is in the fragment, which no server or proxy gets to see."""
    return f"{site_url(request)}{reverse('account_open_reset')}#{key}"


def make_reset_key(user: User) -> str:
    """The secret of a `reset_link` that works once, for PASSWORD_RESET_TIMEOUT seconds."""
    return f"{user_pk_to_url_str(user)}-{app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)}"


def site_url(request: HttpRequest) -> str:
    """The site's origin for links in mails, such as `https://chat.example.org`.

    It is the request's own where ALLOWED_ORIGINS lists it or is empty, else the first that is listed.
    """
    own = request.build_absolute_uri("/").rstrip("/")
    known = settings.ALLOWED_ORIGINS
    return own if not known or own in known else str(known[0])


def listed_origin() -> str:
    """The site's origin for mails that no request has caused; empty if ALLOWED_ORIGINS lists none."""
    return str(settings.ALLOWED_ORIGINS[0]) if settings.ALLOWED_ORIGINS else ""


def _on_site(request: HttpRequest, url: str) -> str:
    """The same path on the site's origin."""
    parts = urlsplit(url)
    return site_url(request) + urlunsplit(("", "", *parts[2:]))


def place_of(request: HttpRequest) -> str:
    """The network that guesses are counted by: the IPv4 address, or the IPv6 address's /64."""
    return network_of(client_ip(request) or "")


def client_ip(request: HttpRequest) -> str | None:
    """The client's IP address behind the number of proxies in TRUSTED_PROXIES. None for a unix socket."""
    ip = AccountAdapter(request).get_client_ip(request)
    return None if ip == "0.0.0.0" else ip  # noqa: S104  # as above

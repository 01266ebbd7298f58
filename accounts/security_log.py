"""The security event log: each event is an audit entry, a log line `security_event_recorded` and a counter.

Events of pages are heard from allauth's signals, so that `force_login` of a shell leaves none. Anonymous clients cause
entries only within the limits of log-in and sign-up; refused permissions are recorded `REFUSED_RATE` times per user and
counted always.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from allauth.account import signals as allauth_signals
from allauth.mfa import signals as factor_signals
from allauth.mfa.models import Authenticator
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.audit import record_event
from accounts.auth import guessing
from accounts.auth.adapter import AccountAdapter, account_locked, client_ip, place_of
from accounts.auth.counters import security_events
from accounts.auth.devices import describe_device
from accounts.lib import rate_limit
from accounts.models import User

REFUSED_RATE: Final = "30/h"

logger = structlog.get_logger(__name__)


def report(request: HttpRequest, event: str, user: User | None, *, email: str = "", details: str = "") -> None:
    """Records an event of `user`'s account. `email`: what was typed, where nobody is logged in."""
    security_events[event] += 1
    record_event(request, event, user, email=email, details=details)
    logger.info(
        "security_event_recorded", kind=event, user_id=str(user.pk) if user else "", ip=client_ip(request),
        staff=bool(user and user.is_staff),
    )  # fmt: skip


def report_refusal(request: HttpRequest, path: str) -> None:
    """Records that a logged-in user was refused a page."""
    user = request.user
    if not isinstance(user, User):
        return
    limits = rate_limit.required_limits((f"refusals:{user.pk.hex}", REFUSED_RATE))
    if rate_limit.try_acquire(limits):
        security_events["permission_refused"] += 1
    else:
        report(request, "permission_refused", user, details=f"{request.method} {path}")


@receiver(allauth_signals.user_logged_in)
def _logged_in(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    guessing.remember_place(user.email, place_of(request))
    report(request, "login", user, details="staff" if user.is_staff else "")
    device = describe_device(request.META.get("HTTP_USER_AGENT", ""))
    if guessing.is_new_device(user.email, place_of(request), device):
        report(request, "new_device", user, details=device)
        AccountAdapter(request).mail_owner("account/email/new_device", user, device=device)


@receiver(user_logged_out)
def _logged_out(sender: object, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    request.logged_out = True  # type: ignore[attr-defined]  # config.web.privacy_headers then clears what the browser stored


@receiver(user_login_failed)
def _login_failed(
    sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    email = str(credentials.get("email") or credentials.get("username") or "").strip().lower()
    if request is not None:
        report(request, "login_failed", User.objects.filter(email=email).first(), email=email)


@receiver(account_locked)
def _locked(sender: object, request: HttpRequest, user: User | None, email: str, **kwargs: Any) -> None:
    report(request, "account_locked", user, email=email.strip().lower())


@receiver(allauth_signals.user_signed_up)
def _signed_up(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    report(request, "sign_up", user, details="waits for approval" if user.awaits_approval else "")


@receiver(allauth_signals.password_changed)
@receiver(allauth_signals.password_set)
def _password_changed(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    guessing.forget_failures(user.email)
    report(request, "password_change", user)


@receiver(allauth_signals.password_reset)
def _password_reset(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    guessing.forget_failures(user.email)
    guessing.remember_place(user.email, place_of(request))
    report(request, "password_reset", user)


@receiver(allauth_signals.email_changed)
def _email_changed(
    sender: object, request: HttpRequest, from_email_address: Any, to_email_address: Any, **kwargs: Any
) -> None:
    before, after = from_email_address.email if from_email_address else "", to_email_address.email
    # Who opens the confirmation link may be logged out: the address says whose account it is.
    report(
        request,
        "email_change",
        to_email_address.user,
        email=before,
        details=f"{before} to {after}" if before else f"confirmed {after}",
    )


@receiver(factor_signals.authenticator_added)
def _factor_added(sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    report(request, "second_factor_added", user, details=authenticator.type)


@receiver(factor_signals.authenticator_removed)
def _factor_removed(sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    report(request, "second_factor_removed", user, details=authenticator.type)


@receiver(factor_signals.authenticator_reset)
def _codes_replaced(sender: object, request: HttpRequest, user: User, **_: Any) -> None:
    report(request, "recovery_codes_replaced", user)


@receiver(factor_signals.authenticator_used)
def _factor_used(sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        return
    authenticator.refresh_from_db()  # allauth marked the code in another copy of the row
    left = len(authenticator.wrap().get_unused_codes())
    report(request, "recovery_code_used", user, details=f"{left} left")
    AccountAdapter(request).mail_owner("account/email/recovery_code_used", user, left=left)


@receiver(factor_signals.authentication_failed)
def _factor_failed(sender: object, request: HttpRequest, user: User, **_: Any) -> None:
    """The password was right, or the user was logged in: a wrong code is worth knowing, and counts as a guess."""
    report(request, "second_factor_failed", user)
    AccountAdapter(request).count_failure(request, user.email, user)

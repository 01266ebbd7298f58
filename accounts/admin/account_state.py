"""Enabling, disabling and approving accounts, for a user's page and the list. Each is audited first."""

from __future__ import annotations

import smtplib

import structlog
from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts import audit, erasure
from accounts.auth.adapter import mail_is_configured, site_url
from accounts.models import User

logger = structlog.get_logger(__name__)


def switch(request: HttpRequest, user: User, *, on: bool, reason: str = "") -> str | None:
    """Enables or disables an account. Returns an error message if it cannot, else None."""
    changes = {"is_active": (str(user.is_active), str(on))}
    audit.record(request, "switch_on" if on else "switch_off", user, reason=reason, changes=changes)
    if on:
        if user.awaits_approval:
            return gettext("%(user)s is awaiting approval. Approve the account instead.") % {"user": user}
        if erasure.enable(user):
            return None
        return gettext("%(user)s is scheduled for erasure. Cancel that first.") % {"user": user}
    try:
        erasure.disable(user)
    except erasure.LastAdministratorError as error:
        return str(error)
    return None


def approve(request: HttpRequest, user: User) -> str | None:
    """Approves an account and mails its owner. Returns an error message if it cannot, else None."""
    audit.record(request, "approve", user)
    if not erasure.approve(user):
        return gettext("%(user)s is not awaiting approval.") % {"user": user}
    if mail_is_configured():
        try:
            login = {"login_url": site_url(request) + reverse("account_login")}
            get_adapter(request).send_mail("account/email/approved", user.email, login)
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("approval_mail_failed", user_id=str(user.pk), error=type(error).__name__)
            messages.warning(request, gettext("The email to %(email)s could not be sent.") % {"email": user.email})
    return None

"""A user deletes their own account: what that does is said before, and for some days it can be undone by logging in."""

from __future__ import annotations

import smtplib
from datetime import datetime
from typing import Final

import structlog
from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import audit, erasure
from accounts.auth.adapter import AccountAdapter
from accounts.auth.inactive import inactive_account
from accounts.auth.requests import AuthenticatedRequest
from accounts.models import User
from accounts.views.settings import settings_urls

DELETED_UNTIL: Final = "deleted_until"  # in the session of the browser, after the log-out

logger = structlog.get_logger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@reauthentication_required(allow_get=False)  # type: ignore[untyped-decorator]  # allauth ships no types
def delete_account(request: AuthenticatedRequest) -> HttpResponse:
    """Says what is deleted and who gets shared conversations; POST schedules the erasure and logs out everywhere."""
    user = request.user
    if request.method == "POST":
        audit.record_event(request, "delete_account", user)
        try:
            until = erasure.schedule(user, asked=True)  # ends all sessions
        except erasure.LastAdministratorError as error:
            messages.error(request, str(error))
            return redirect("account_delete")
        logger.info("account_deletion_asked", user_id=str(user.pk))
        _mail(request, user, "account_deletion")
        logout(request)
        request.session[DELETED_UNTIL] = until.isoformat()
        return redirect("account_deleted")
    data = erasure.user_data()
    context = {
        "report": data.report(user),
        "handovers": data.handovers(user),
        "days": settings.ERASE_GRACE_DAYS,
        "data_url": settings_urls().get("data", ""),
    }
    return render(request, "account/delete.html", context)


@require_safe
@never_cache
def show_deleted(request: HttpRequest) -> HttpResponse:
    """Says until when the account can be kept. It contains no other user data."""
    until = request.session.get(DELETED_UNTIL, "")
    return render(request, "account/deleted.html", {"until": _parsed(until), "days": settings.ERASE_GRACE_DAYS})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def keep_account(request: HttpRequest) -> HttpResponse:
    """Where a log-in leads while the erasure that the user asked for can be undone; POST undoes it."""
    user = inactive_account(request)
    if user is None or user.erase_at is None or not user.erase_asked:
        return redirect("account_login")
    if request.method != "POST":
        return render(request, "account/keep.html", {"until": user.erase_at})
    audit.record_event(request, "keep_account", user, email=user.email)
    if erasure.cancel(user, by_user=True):
        logger.info("account_deletion_cancelled", user_id=str(user.pk))
        _mail(request, user, "account_kept")
        request.session.pop(DELETED_UNTIL, None)
        messages.success(request, _("Your account stays as it was. Log in to continue."))
    return redirect("account_login")


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _mail(request: HttpRequest, user: User, template: str) -> None:
    """What has happened, to the user's address. A mail server that is away changes nothing."""
    context = {"user": user, "until": user.erase_at, "days": settings.ERASE_GRACE_DAYS}
    try:
        AccountAdapter(request).send_mail(f"account/email/{template}", user.email, context)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("mail_not_sent", template=template, error=type(error).__name__)

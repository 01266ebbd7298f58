"""Viewing pages as another user: what staff with the permission see is what that user sees, and nothing can be changed.

A page of the list is made as if the user had asked for it, within a transaction that is rolled back: whatever a page
notes of its reader (what was read, when it was opened) is not noted. Each page is in the audit log before it is made.
All other pages are refused meanwhile, but for the admin, which staff go on using as themselves. Sockets, files and
exports are not offered: they belong to the user's own session.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts import audit, roles
from accounts.auth import staff_networks
from accounts.lib.view_middleware import ViewMiddleware
from accounts.models import User

SECONDS: Final = 30 * 60
_KEY: Final = "view_as"  # in the session: whose pages, and until when
# Pages that show what is stored of a user, and no secret of theirs.
_viewable: Final = {
    "account_settings", "account_settings_appearance", "account_settings_account", "account_settings_sessions",
}  # fmt: skip
# Pages that stay those of the member of staff.
_OWN: Final = {
    "account_view_as_end", "account_logout", "account_login", "account_reauthenticate", "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn", "account_language", "csp_report", "site_logo", "security_txt", "account_terms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ViewAs:
    """Whose pages are shown, and until when."""

    user: User
    until: datetime


def register_viewable_pages(*names: str) -> None:
    """Adds pages of other apps, by their URL names, that may be viewed as another user. They only read."""
    _viewable.update(names)


def register_own_pages(*names: str) -> None:
    """Adds pages of other apps, by their URL names, that are the same for everybody."""
    _OWN.update(names)


def may_view_as(viewer: User, user: User) -> bool:
    """Nobody views as themselves, or as somebody whom they may not manage."""
    return viewer.pk != user.pk and viewer.has_perm(roles.VIEW_AS) and roles.may_manage(viewer, user)


def begin(request: HttpRequest, user: User) -> None:
    """The session shows the user's pages from now on. The caller has checked the permission and recorded it."""
    request.session[_KEY] = {"user": str(user.pk), "until": int(time.time()) + SECONDS}


def end(request: HttpRequest) -> uuid.UUID | None:
    """The session shows its own pages again. Returns whose it showed."""
    found = request.session.pop(_KEY, None)
    return uuid.UUID(found["user"]) if found else None


def viewed(request: HttpRequest) -> ViewAs | None:
    """Whose pages the session shows; None once the time is over, the permission is gone, or the request comes from a
    network that the admin does not answer.
    """
    found = request.session.get(_KEY)
    viewer = request.user
    if not found or not isinstance(viewer, User) or not viewer.is_staff:
        return None
    user = User.objects.filter(pk=found["user"]).first() if found["until"] > time.time() else None
    if user is None or not may_view_as(viewer, user) or not staff_networks.is_allowed(request):
        end(request)
        return None
    return ViewAs(user, datetime.fromtimestamp(found["until"], UTC))


class ViewAsMiddleware(ViewMiddleware):
    """Answers as the user whose pages are viewed. It has to be the last one: those before it see the member of staff,
    whose session, terms and second factor count.
    """

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponseBase | None:
        match = request.resolver_match
        name = match.view_name if match else ""
        if name.startswith(("admin:", "staff_")) or name in _OWN:
            return None
        found = viewed(request)
        if found is None:
            return None
        request.view_as = found  # type: ignore[attr-defined]  # templates show it (accounts.site.branding)
        if request.method not in ("GET", "HEAD") or name not in _viewable:
            return _refuse(request)
        about = kwargs.get("conversation_id")
        audit.record(request, "view_as_page", found.user, conversation_id=about, details=request.path)
        request.user = found.user
        with transaction.atomic():
            response: HttpResponseBase = view(request, *args, **kwargs)
            if hasattr(response, "render"):
                response = response.render()
            transaction.set_rollback(True)
        response["Cache-Control"] = "no-store"
        return response


def _refuse(request: HttpRequest) -> HttpResponse:
    if "text/html" in request.headers.get("Accept", ""):
        return render(request, "account/view_as_refused.html", status=403)
    said = _("You are viewing this site as another user, so this is not possible.")
    return JsonResponse({"code": "view_as", "message": said}, status=403)

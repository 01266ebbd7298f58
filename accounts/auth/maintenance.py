"""Maintenance mode (`accounts.site`): people go on reading, and only staff write.

Every process knows within `accounts.site.FRESH_SECONDS` that it has begun or ended. Requests of pages are refused here,
those of programs in `chat.api.door`, commands of sockets in `chat.realtime.consumer`.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from accounts.lib.view_middleware import ViewMiddleware
from accounts.models import User
from accounts.site import site

RETRY_AFTER: Final = 60  # seconds
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What works meanwhile: logging in and out, proving who one is, the tickets of sockets (which then read only), and what
# other systems report: providers that log somebody out, and directories that disable accounts.
_OPEN: Final = {
    "account_login", "account_logout", "account_reauthenticate", "account_language", "account_accept_terms", "ticket",
    "mfa_authenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "mfa_login_webauthn", "mfa_trust",
    "openid_connect_login", "openid_connect_callback", "account_sso_backchannel", "saml_acs", "saml_finish_acs",
    "saml_sls", "saml_login", "scim", "account_end_session", "account_end_other_sessions", "csp_report",
}  # fmt: skip


def register_pages_in_maintenance(*names: str) -> None:
    """Adds pages of other apps, by their URL names, whose POSTs change nothing that maintenance is to protect."""
    _OPEN.update(names)


def refuses(user: Any) -> bool:
    """Whether this user, who may be nobody, must not write now."""
    return site().maintenance and not (isinstance(user, User) and user.is_active and user.is_staff)


def refuses_id(user_id: uuid.UUID) -> bool:
    """The same for the user of a socket or token, whose row is read only during maintenance."""
    return site().maintenance and not User.objects.filter(pk=user_id, is_active=True, is_staff=True).exists()


class MaintenanceMiddleware(ViewMiddleware):
    """During maintenance a request that would change something is answered 503 (`maintenance`) with `Retry-After`."""

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        name = match.view_name if match else ""
        if request.method in SAFE or name in _OPEN or name.startswith("admin:") or not refuses(request.user):
            return None
        headers = {"Retry-After": str(RETRY_AFTER)}
        if "text/html" not in request.headers.get("Accept", ""):  # a page's script, or a program
            body = {"code": "maintenance", "message": site().maintenance_message, "retry_after": RETRY_AFTER}
            return JsonResponse(body, status=503, headers=headers)
        response = render(request, "maintenance.html", status=503)
        response["Retry-After"] = headers["Retry-After"]
        return response

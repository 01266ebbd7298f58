"""Leads a user who lacks a second factor that they need to the page where it is set up."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.auth.second_factor.policy import Standing, is_postponed, standing_of_request
from accounts.lib.view_middleware import ViewMiddleware

# Pages that work before: setting one up, proving who one is, leaving, and what is not of one user.
_OPEN = {
    "account_second_factor", "account_settings_security", "account_reauthenticate", "account_logout", "account_terms",
    "account_accept_terms", "account_language", "site_logo", "csp_report", "security_txt",
    "mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_reauthenticate", "mfa_reauthenticate_webauthn",
    "mfa_view_recovery_codes", "mfa_download_recovery_codes", "mfa_list_webauthn",
    "account_sso_backchannel", "saml_acs", "saml_finish_acs", "saml_sls",
}  # fmt: skip


def register_pages_without_factor(*names: str) -> None:
    """Adds pages of other apps, by their URL names, that work before a second factor is set up."""
    _OPEN.update(names)


class SecondFactorMiddleware(ViewMiddleware):
    """Pages lead to the set-up: once in each session while there are days of grace, always afterwards. Scripts, and
    with them the tickets of sockets, are answered 403 (`second_factor`) afterwards.
    """

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        if match is not None and match.view_name in _OPEN:
            return None
        standing = standing_of_request(request)
        is_page = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")
        if standing is Standing.FINE or (standing is Standing.GRACE and (is_postponed(request) or not is_page)):
            return None
        if is_page:
            query = urlencode({"next": request.get_full_path()})
            return redirect(f"{reverse('account_second_factor')}?{query}")
        said = str(_("Your account needs a second factor. Load the page again to set one up."))
        return JsonResponse({"code": "second_factor", "message": said}, status=403)

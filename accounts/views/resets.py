"""Choosing a new password: by mail where there is a mail server, by a link from staff, and never by a link in a log.

The link's secret is in its fragment, which browsers do not send. The page's script posts it, and it moves to the
session.
"""

from __future__ import annotations

import re
from typing import Any, Final

from allauth.account.views import INTERNAL_RESET_SESSION_KEY, PasswordResetFromKeyView, PasswordResetView
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.auth.adapter import mail_is_configured, place_of
from accounts.lib import rate_limit

OPEN_RATE: Final = "20/m"  # of links opened from one network
_SHAPE: Final = re.compile(r"(?P<user>[0-9A-Za-z]{1,64})-(?P<key>[0-9A-Za-z-]{1,200})", re.ASCII)


class RequestReset(PasswordResetView):  # type: ignore[misc]  # allauth ships no types
    """allauth's page. Without a mail server it sends nothing, and says whom to ask."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not mail_is_configured() or settings.SSO_ONLY:
            return render(request, self.template_name)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def open_reset(request: HttpRequest) -> HttpResponse:
    """Puts a posted secret into the session and redirects to allauth's form, which checks it. 429 beyond OPEN_RATE."""
    if request.method != "POST":
        return render(request, "account/open_link.html")
    if rate_limit.try_acquire(rate_limit.required_limits((f"resets:{place_of(request)}", OPEN_RATE))):
        return render(request, "429.html", status=429)
    found = _SHAPE.fullmatch(request.POST.get("secret", ""))
    if found is None:
        return render(request, "account/password_reset_from_key.html", {"token_fail": True}, status=410)
    request.session[INTERNAL_RESET_SESSION_KEY] = found["key"]
    return redirect("account_reset_password_from_key", found["user"], PasswordResetFromKeyView.reset_url_key)


request_reset = RequestReset.as_view()

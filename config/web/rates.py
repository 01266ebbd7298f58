"""A rate for every request that changes something."""

from __future__ import annotations

import math
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.auth.adapter import client_ip
from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from accounts.lib.view_middleware import ViewMiddleware
from chat.telemetry import metrics
from config.web.password_line import refused_for

USUAL: Final = "RATE_HTTP_COMMANDS"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class RateMiddleware(ViewMiddleware):
    """Beyond RATE_HTTP_COMMANDS of one user, or of one network where nobody is logged in, a request that is no GET is
    answered with 429 and `Retry-After`, and nothing is done; so is one that found the line for passwords full. A GET
    counts as well if its view has `counts_reads`.

    A view that is `rated` has the rate of another setting. Views with `own_rate` count for themselves, as those of
    allauth do while nobody is logged in.
    """

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        if seconds := refused_for(request):
            return _refuse(request, seconds)
        if request.method in SAFE and not getattr(view, "counts_reads", False):
            return None
        if getattr(view, "own_rate", False):
            return None
        setting = getattr(view, "rate_setting", USUAL)
        kind = "http" if setting == USUAL else setting.lower()
        if request.user.is_authenticated:
            name = f"{kind}:{user_of(request).pk.hex}"
        elif view.__module__.startswith("allauth."):
            return None  # ACCOUNT_RATE_LIMITS
        else:
            name = f"{kind}:{rate_limit.network_of(client_ip(request) or '')}"
        wait = rate_limit.try_acquire(rate_limit.required_limits((name, getattr(settings, setting))))
        return _refuse(request, wait) if wait else None


def _refuse(request: HttpRequest, wait: float) -> HttpResponse:
    metrics.denials["commands"] += 1
    seconds = math.ceil(wait)
    said = _("Too many requests. Try again in %(seconds)d s.") % {"seconds": seconds}
    headers = {"Retry-After": str(seconds)}
    if "text/html" not in request.headers.get("Accept", ""):  # a page's script, or a program
        body = {"code": "rate_limited", "message": said, "retry_after": seconds}
        return JsonResponse(body, status=429, headers=headers)
    response = render(request, "too_many.html", {"seconds": seconds}, status=429)
    response["Retry-After"] = headers["Retry-After"]
    return response

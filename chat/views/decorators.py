"""Decorators of the views: log-in, JSON commands, and how errors are answered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST

from accounts.lib.outage import OUTAGE
from chat.protocol.errors import ChatError, Forbidden, Moderated, NotFound, Unavailable

STATUSES: Final = {
    "not_found": 404, "forbidden": 403, "suspended": 403, "invalid": 400, "too_large": 400, "moderated": 400,
    "conflict": 409, "rate_limited": 429,
}  # fmt: skip

logger = structlog.get_logger(__name__)


def for_members(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page for logged-in users. `NotFound` becomes 404, `Forbidden` 403, and an outage a page of its own (503)."""
    return never_cache(_guarded(view))


def for_members_revalidated(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The same, but the browser may keep the response if it asks each time whether it has changed (`ETag`)."""
    return cache_control(private=True, no_cache=True)(_guarded(view))


def _guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    inner = login_required(view)

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return inner(request, *args, **kwargs)
        except NotFound:
            raise Http404 from None
        except Forbidden as error:
            raise PermissionDenied from error
        except (Unavailable, *OUTAGE) as error:
            logger.warning("page_unavailable", error=type(error).__name__)
            response = render(request, "chat/unavailable.html", status=503)
            response["Retry-After"] = "10"
            return response

    return guarded


def command(view: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponseBase]:
    """A POST by the page's script. The view's dict becomes JSON, a `ChatError` its code and message."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return JsonResponse(view(request, *args, **kwargs))
        except ChatError as error:
            body = {"code": error.code, "message": error.message}
            if isinstance(error, Moderated):
                body["case_id"] = str(error.case_id)
            return JsonResponse(body, status=STATUSES.get(error.code, 503))

    return require_POST(for_members(answer))


def zone_of(request: HttpRequest) -> ZoneInfo:
    """The reader's time zone, from the cookie that boot.js sets; UTC when it is invalid."""
    try:
        return ZoneInfo(request.COOKIES.get("timezone", "UTC").replace("%2F", "/"))
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")

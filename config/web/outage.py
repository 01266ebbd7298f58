"""Says "not right now" instead of "something broke" when Redis or PostgreSQL cannot be reached."""

from __future__ import annotations

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from accounts.lib.outage import OUTAGE

RETRY_SECONDS = 5
log = structlog.get_logger(__name__)


class OutageMiddleware(MiddlewareMixin):
    """A 503 page with Retry-After for any view that an outage of ours stopped. Logging in, for instance, needs Redis:
    without the counts of failed tries nobody may guess passwords."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OUTAGE):
            return None
        log.error("page_unavailable", path=request.path, error=f"{type(exception).__name__}: {exception}")
        # The page must not ask the database who looks at it.
        response = render(request, "account/unavailable.html", status=503)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response

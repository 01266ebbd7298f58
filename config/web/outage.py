"""Answers with a 503 page when Redis or PostgreSQL is unavailable."""

from __future__ import annotations

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from accounts.lib.outage import OUTAGE
from config.web.access_log import without_secrets

RETRY_SECONDS = 5
logger = structlog.get_logger(__name__)


class OutageMiddleware(MiddlewareMixin):
    """A 503 page with Retry-After for any view that failed because Redis or PostgreSQL is unavailable.

    Log-in, for example, needs Redis, where failed attempts are counted.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OUTAGE):
            return None
        logger.error(
            "page_unavailable", path=without_secrets(request.path), error=f"{type(exception).__name__}: {exception}"
        )
        # The page is rendered without the database, so without the user.
        response = render(request, "account/unavailable.html", status=503)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response

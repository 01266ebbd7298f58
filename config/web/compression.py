"""Compresses pages and pieces of pages.

A page holds secrets beside texts that others can influence, which is what BREACH needs (docs/security.md). Django's
middleware adds a random number of bytes to each response, and CSRF tokens are masked anew for each.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class CompressionMiddleware(GZipMiddleware):
    """Django's, for HTML in one piece: exports and downloads are streamed at the pace of their reader."""

    def process_response(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response  # type: ignore[no-any-return]
        return super().process_response(request, response)

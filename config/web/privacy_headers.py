"""Headers that keep private pages out of caches, and clear what a browser stored when somebody logs out."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control


class PrivacyMiddleware:
    """`no-store` for every page that does not say otherwise, and `Clear-Site-Data` at log-out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, no_store=True, private=True)
        if getattr(request, "logged_out", False):  # set by accounts.security_log
            response["Clear-Site-Data"] = '"cache", "storage"'
        return response

"""A middleware that looks at a request once its view is known, and may answer in its place."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase


class ViewMiddleware:
    """For subclasses with Django's hook `process_view`: the rest of a middleware, which passes requests on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

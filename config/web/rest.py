"""The REST API below `/api/v1/`: a Django handler of its own, without the middleware of pages.

Neither cookies nor sessions are read. The token is checked first (`chat.api.door`), and views find in the ASGI scope
what it gives access to. The API's modules are loaded by the first request, on a thread of its own.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from allauth.core.context import request_context
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, get_resolver
from django.urls.exceptions import Resolver404
from django.utils import translation

from accounts.features import api_is_on
from accounts.lib.db import in_db
from chat.api.door import ACCESS, DISABLED, admit, answer_or_refuse, begin_trace, private_headers
from chat.api.errors import ApiError
from config.web.pages import Pages

PREFIX: Final = "/api/v1/"
DOCUMENT: Final = "/api/v1/openapi.json"
URLS: Final = "chat.api.rest.urls"


class RestPages(Pages):
    """Django without middleware, for the addresses of `URLS` alone."""

    def load_middleware(self, is_async: bool = False) -> None:
        everything = settings.MIDDLEWARE
        settings.MIDDLEWARE = []
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = everything

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Unlike Django's with `request.urlconf`, it lets `reverse` find the site's pages, for links in mails."""
        try:
            match: ResolverMatch = get_resolver(URLS).resolve(request.path_info)
        except Resolver404:
            match = ResolverMatch(_not_found, (), {})
        request.resolver_match = match
        return match

    def _respond_here(self, request: HttpRequest) -> HttpResponseBase:
        with translation.override("en"), request_context(request):  # allauth's mails look for their request there
            response = super()._respond_here(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refused = ApiError(405, f"Use {response.headers['Allow']} here.", code="method_not_allowed")
            response = JsonResponse(refused.body, status=405, headers={"Allow": response.headers["Allow"]})
        for name, value in private_headers():
            response.headers.setdefault(name.decode(), value.decode())
        return response


def _not_found(request: HttpRequest) -> HttpResponseBase:
    refused = ApiError(404, f"There is no {request.method} {request.path} here.", code="unknown_url")
    return JsonResponse(refused.body, status=404)


class RestApi:
    """The ASGI application: checks the token, then answers. The OpenAPI document needs no token."""

    def __init__(self) -> None:
        self._pages = RestPages()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        begin_trace(scope)
        await answer_or_refuse(send, self._answer(scope, receive, send))

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] != DOCUMENT:
            scope[ACCESS] = await admit(scope)
        elif not await in_db(api_is_on):
            raise ApiError(404, DISABLED, code="api_disabled")
        await self._pages(scope, receive, send)

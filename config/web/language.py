"""The language of a request: the user's own choice, else the browser's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from accounts.auth.language import browser_language, offered
from accounts.lib.outage import OUTAGE

# What is asked for beside a page, and has no words or only a name: the user is not read for it.
WORDLESS: Final = ("/static/", "/health", "/metrics", "/manifest.webmanifest")
ADMIN: Final = "/admin/"


class LanguageMiddleware:
    """Activates the language. The admin is in English until the catalogue of its own texts is complete."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        language = language_for(request) if len(settings.LANGUAGES) > 1 else settings.LANGUAGE_CODE
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", language)
        if len(settings.LANGUAGES) > 1:
            patch_vary_headers(response, ("Accept-Language",))
        return response


def language_for(request: HttpRequest) -> str:
    """The code of the language in which a request is answered."""
    language = _own(request) or browser_language(request)
    if request.path.startswith(ADMIN) and language not in settings.ADMIN_LANGUAGES:
        return "en"
    return language


def _own(request: HttpRequest) -> str:
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.path.startswith(WORDLESS):
        return ""
    try:
        return offered(getattr(request.user, "language", ""))
    except OUTAGE:
        return ""  # the view meets it too, and its page says so

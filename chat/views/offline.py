"""The offline page and the service worker."""

from __future__ import annotations

import json
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat.views.page_files import stylesheet_urls

BLANK_STEPS: Final = [{"step": 0, "status": "running", "calls": [{"call_id": "", "status": "asked", "arguments": ""}]}]
BLANK_SOURCES: Final = [{"n": 0, "title": "", "url": "https://", "host": "", "passage": " "}]
BLANK: Final[dict[str, Any]] = {"id": "", "text": "", "html": None, "status": "local", "run": None, "author": None}


@require_safe
def show_offline(request: HttpRequest) -> HttpResponse:
    """What the service worker shows when a page cannot be loaded. It contains no user data."""
    return render(request, "chat/offline.html")


@require_safe
@never_cache
def serve_service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker, at the root so that it covers every page, with the versioned files of the offline page."""
    files = [
        *("js/boot.js", "img/mark.svg"),
        *("vendor/fonts/inter-basic-wght-normal.woff2", "vendor/fonts/source-serif-4-basic-wght-normal.woff2"),
    ]
    urls = [reverse("chat:offline"), *stylesheet_urls("pages"), *(static(f"chat/{name}") for name in files)]
    context = {"urls": json.dumps(urls), "offline": json.dumps(reverse("chat:offline"))}
    return render(request, "chat/service-worker.js", context, content_type="text/javascript")

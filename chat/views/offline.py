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

SHEETS: Final = tuple(  # in the order of the cascade
    f"chat/css/{name}.css"
    for name in (
        "sources",
        *("prose", "sidebar", "overlays", "chat", "messages", "moderation", "thinking", "side-by-side"),
        *("context", "steps", "step-viewer"),
        *("composer", "queue", "prompts", "picker", "choices", "start", "voice", "temporary"),
        *("parameter-fields", "parameters", "people", "shares", "asking", "reading", "report"),
        *("message-marks", "tools", "approvals", "search"),
    )
)
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
        *("css/tokens.css", "css/base.css", "css/pages.css", "js/boot.js", "js/log-out.js", "img/mark.svg"),
        *("vendor/fonts/inter-latin-wght-normal.woff2", "vendor/fonts/source-serif-4-latin-wght-normal.woff2"),
    ]
    urls = [reverse("chat:offline"), *(static(f"chat/{name}") for name in files)]
    context = {"urls": json.dumps(urls), "offline": json.dumps(reverse("chat:offline"))}
    return render(request, "chat/service-worker.js", context, content_type="text/javascript")

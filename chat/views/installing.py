"""The web app manifest: what a browser needs to install the site as an app (https://www.w3.org/TR/appmanifest/)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts.site import site


@require_safe
@cache_control(public=True, max_age=3600)
def show_manifest(request: HttpRequest) -> JsonResponse:
    """The same for everybody. What is shared with the installed app comes to the page of a new conversation as
    `title`, `text` and `url` in its address.
    """
    start = reverse("chat:new")
    icons = [
        _icon("mark.svg", "any", "any"),
        *(_icon(f"icon-{size}.png", f"{size}x{size}", "any") for size in (192, 512)),
    ]
    manifest: dict[str, Any] = {
        "id": start,
        "name": site().name,
        "short_name": site().name,
        "description": _("Chat with AI models, and with each other"),
        "start_url": start,
        "scope": start,
        "display": "standalone",
        "theme_color": "#f6f4ee",
        "background_color": "#fdfcf9",
        "icons": [*icons, _icon("icon-maskable-512.png", "512x512", "maskable")],
        "shortcuts": [
            {"name": _("New conversation"), "url": start},
            {"name": _("Temporary chat"), "url": f"{start}?temporary=1"},
            {"name": _("Settings"), "url": reverse("account_settings")},
        ],
        "share_target": {
            "action": start,
            "method": "GET",
            "enctype": "application/x-www-form-urlencoded",
            "params": {"title": "title", "text": "text", "url": "url"},
        },
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


def _icon(name: str, sizes: str, purpose: str) -> dict[str, str]:
    kind = "image/svg+xml" if name.endswith(".svg") else "image/png"
    return {"src": static(f"chat/img/{name}"), "sizes": sizes, "type": kind, "purpose": purpose}

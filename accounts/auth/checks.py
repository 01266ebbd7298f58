"""System checks of the settings that WebSocket connections depend on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from accounts.auth.origins import parse_origin


@checks.register()
def check_origins(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Every entry of ALLOWED_ORIGINS must be one a browser can send, and a `*` host needs such entries."""
    found: list[checks.CheckMessage] = [
        checks.Error(
            f"ALLOWED_ORIGINS: {origin!r} is not an origin such as https://chat.example.org.", id="accounts.E001"
        )
        for origin in settings.ALLOWED_ORIGINS
        if parse_origin(origin.lower()) is None
    ]
    if "*" in settings.ALLOWED_HOSTS and not settings.ALLOWED_ORIGINS:
        found.append(
            checks.Warning(
                "With ALLOWED_HOSTS='*', no page can open a WebSocket.",
                hint="Set ALLOWED_ORIGINS to the address of the site, for example https://chat.example.org.",
                id="accounts.W001",
            )
        )
    return found

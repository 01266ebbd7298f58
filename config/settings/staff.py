"""How the admin looks."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static

from config.settings.site import SITE_NAME

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("chat/img/mark.svg")},
    ],
    "STYLES": [
        lambda _request: static("chat/css/staff.css"),
        lambda _request: static("chat/css/staff-moderation.css"),
    ],
    "SCRIPTS": [
        lambda _request: static("chat/js/log-out.js"),
        lambda _request: static("chat/js/staff-names.js"),
    ],
    "DASHBOARD_CALLBACK": "config.staff.dashboard.add_dashboard",
    "COMMAND": {"search_callback": "chat.admin.palette.find"},  # Ctrl K
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "config.staff.navigation.build_sidebar"},
    "COLORS": {  # the pages' accent, from light to dark: OKLCH lightness and chroma at one hue
        "primary": {
            "50": "oklch(97% .012 272)",
            "100": "oklch(94% .027 272)",
            "200": "oklch(88% .055 272)",
            "300": "oklch(80% .090 272)",
            "400": "oklch(70% .125 272)",
            "500": "oklch(58% .145 272)",
            "600": "oklch(46% .140 272)",
            "700": "oklch(40% .120 272)",
            "800": "oklch(34% .095 272)",
            "900": "oklch(28% .070 272)",
            "950": "oklch(21% .045 272)",
        }
    },
}

"""The frame in which pages show HTML and SVG that a model wrote."""

from __future__ import annotations

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe


@require_safe
@xframe_options_sameorigin
@csp(
    {
        "default-src": [NONE],
        "script-src": [UNSAFE_INLINE, SELF],
        "style-src": [UNSAFE_INLINE],
        "img-src": ["data:", "blob:"],
        "media-src": ["data:", "blob:"],
        "font-src": ["data:"],
        "connect-src": [NONE],
        "base-uri": [NONE],
        "form-action": [NONE],
        "frame-ancestors": [SELF],
        "sandbox": ["allow-scripts"],
    }
)
def show_preview_frame(request: HttpRequest) -> HttpResponse:
    """An empty page that becomes what the page around it sends (static/chat/frames/preview.js).

    It has no origin, also where it is opened by itself, and reaches no network: what a model wrote runs, and gets
    nothing of the site and out to nobody. It contains no user data.
    """
    return render(request, "chat/preview_frame.html")

"""The frame in which pages have diagrams drawn."""

from __future__ import annotations

from csp.constants import NONCE, NONE, SELF, UNSAFE_INLINE
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
        "script-src": [NONCE],
        "style-src": [UNSAFE_INLINE],  # Mermaid writes style sheets into its drawings
        "base-uri": [NONE],
        "form-action": [NONE],
        "frame-ancestors": [SELF],
        "sandbox": ["allow-scripts"],
    }
)
def show_diagram_frame(request: HttpRequest) -> HttpResponse:
    """An empty page that draws Mermaid sources for the page around it (static/chat/frames/diagram.js).

    It has no origin, also where it is opened by itself, and reaches no network: a source that gets a script to run gets
    nothing. It contains no user data.
    """
    return render(request, "chat/diagram_frame.html")

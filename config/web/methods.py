"""Which methods an address takes: GET, HEAD and POST, and others only where its view was made for them.

Most of Django's views, and all of the admin's, take a method that they do not know for a GET.
"""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from accounts.lib.view_middleware import ViewMiddleware

USUAL: Final = frozenset({"GET", "HEAD", "POST"})
MORE: Final = {
    "chat:upload": frozenset({"PUT", "DELETE"}),
    "chat:file": frozenset({"DELETE"}),
    "scim": frozenset({"PUT", "PATCH", "DELETE", "OPTIONS"}),
}
"""By the name of the address. Such a view refuses what it does not take itself."""


class MethodMiddleware(ViewMiddleware):
    """Answers 405 to any other method before its view is asked."""

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        allowed = USUAL | MORE.get(match.view_name if match else "", frozenset())
        return None if request.method in allowed else HttpResponseNotAllowed(sorted(allowed))

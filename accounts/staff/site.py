"""The admin site: unfold's look, the site's own log-in page, and a strict Content-Security-Policy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from django.utils.translation import gettext as _
from unfold.sites import UnfoldAdminSite

from accounts.auth.requests import user_of
from accounts.auth.staff_networks import is_allowed
from accounts.lib.formatting import NOTHING
from accounts.staff.notices import notices_for

View = Callable[..., HttpResponseBase]

# Alpine, which unfold uses, evaluates expressions in attributes and writes style attributes. Scripts and style elements
# must still come from this site or carry the nonce.
POLICY = {"script-src": [UNSAFE_EVAL], "style-src-attr": [UNSAFE_INLINE]}


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """Staff log in on the site's own log-in page, with its rate limits. Other users get 403."""

    empty_value_display = NOTHING  # lists and pages write the same dash

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pages: list[tuple[str, View, str]] = []

    def add_page(self, route: str, view: View, name: str) -> None:
        """Adds a page without a model. Only staff reach `view`, which checks further permissions."""
        self._pages.append((route, view, name))

    def get_urls(self) -> list[Any]:
        own = [path(route, self.admin_view(view), name=name) for route, view, name in self._pages]
        return own + list(super().get_urls())

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().index(request, {**(extra_context or {}), "notices": notices_for(user_of(request))})

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return secure_admin_login(super().login)(request, extra_context)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        relaxed: View = csp_update(POLICY)(super().admin_view(view, cacheable))

        @functools.wraps(relaxed)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not is_allowed(request):
                raise PermissionDenied(_("The administration is not available from this network."))
            return relaxed(request, *args, **kwargs)

        return guarded

    def has_permission(self, request: HttpRequest) -> bool:
        return is_allowed(request) and super().has_permission(request)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        # unfold writes these into a style element without a nonce. Our skeleton.html writes them with one.
        return {**context, "theme_colors": context["colors"], "colors": None}

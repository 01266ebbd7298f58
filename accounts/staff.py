"""The admin site: unfold's look, the site's own login page, a strict Content-Security-Policy, lists that stay quick."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.admin import ShowFacets
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator
from unfold.sites import UnfoldAdminSite

View = Callable[..., HttpResponseBase]

# Alpine, which unfold is built on, evaluates the expressions in its attributes and writes style attributes. Scripts and
# style elements still need to come from this site or carry the nonce.
POLICY = {"script-src": [UNSAFE_EVAL], "style-src-attr": [UNSAFE_INLINE]}


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """The site's own login page is the only door, with its rate limits; who is not staff gets 403."""

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return secure_admin_login(super().login)(request, extra_context)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        relaxed: View = csp_update(POLICY)(super().admin_view(view, cacheable))
        return relaxed

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        # unfold writes these into a style element without a nonce; our skeleton.html does it with one.
        return {**context, "theme_colors": context["colors"], "colors": None}


class QuickListAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Lists without counts, and no question to the database but those foreseen.

    Django lets a list's address ask for any field of its own model (`?text__contains=`), which would answer, one
    letter at a time, what a person may not read. Here only `lookups` may be asked for.
    """

    lookups: ClassVar[frozenset[str]] = frozenset()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self.lookups


class HistoryAdmin(QuickListAdmin):
    """What has happened: to look at, never to change. Any table size; pages forward and back without counting."""

    paginator = InfinitePaginator
    search_fields = ("pk",)  # shows the box; `search` answers it
    actions = None

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        """The rows for an id or an e-mail address. Both use an index."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            return self.search(queryset, id_=None, email=term.lower()), False
        try:
            return self.search(queryset, id_=uuid.UUID(term), email=None), False
        except ValueError:
            return queryset.none(), False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

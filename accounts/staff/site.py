"""The admin site: unfold's look, the site's own login page, a strict Content-Security-Policy, lists that stay quick."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite
from unfold.views import ChangeList

View = Callable[..., HttpResponseBase]

# Alpine, which unfold is built on, evaluates the expressions in its attributes and writes style attributes. Scripts and
# style elements still need to come from this site or carry the nonce.
POLICY = {"script-src": [UNSAFE_EVAL], "style-src-attr": [UNSAFE_INLINE]}


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """The site's own login page is the only door, with its rate limits; who is not staff gets 403."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pages: list[tuple[str, View, str]] = []

    def add_page(self, route: str, view: View, name: str) -> None:
        """A page that is no model's. `view` checks what its visitor may see; staff are already let in."""
        self._pages.append((route, view, name))

    def get_urls(self) -> list[Any]:
        own = [path(route, self.admin_view(view), name=name) for route, view, name in self._pages]
        return own + list(super().get_urls())

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return secure_admin_login(super().login)(request, extra_context)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        relaxed: View = csp_update(POLICY)(super().admin_view(view, cacheable))
        return relaxed

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        # unfold writes these into a style element without a nonce; our skeleton.html does it with one.
        return {**context, "theme_colors": context["colors"], "colors": None}


class OnePage(Page):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Knows whether there is a next page because one row more than it shows was read."""

    def __init__(self, rows: Sequence[Any], number: int, paginator: UncountedPaginator) -> None:
        self.is_last = len(rows) <= paginator.per_page
        super().__init__(rows[: paginator.per_page], number, paginator)

    def has_next(self) -> bool:
        return not self.is_last


class UncountedPaginator(Paginator):  # type: ignore[type-arg]  # as above
    """Pages forward and back, without counting. Deep pages read all before them, so there is an end to them."""

    template_name = "admin/pages.html"
    count = 10**9  # what Django's list asks before anything was read; not shown
    most_pages = 200

    def validate_number(self, number: Any) -> int:
        return max(1, min(int(number), self.most_pages))

    def page(self, number: Any) -> OnePage:
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        self.shown = OnePage(list(self.object_list[begin : begin + self.per_page + 1]), number, self)
        return self.shown


class UncountedList(ChangeList):  # type: ignore[misc]  # unfold ships no types
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_count = self.full_result_count = len(self.result_list)  # of the page: no more is known


class QuickListAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Lists without counts, and no question to the database but those foreseen.

    Django lets a list's address ask for any field of its own model (`?text__contains=`), which would answer, one
    letter at a time, what a person may not read. Here only `lookups` may be asked for, and what a filter class of
    the list takes.
    """

    lookups: ClassVar[frozenset[str]] = frozenset()
    paginator: Any = UncountedPaginator
    sortable_by: ClassVar[Any] = ()  # an order that no index has would sort the whole table
    show_full_result_count = False
    list_disable_select_all = True
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        own = {getattr(one, "parameter_name", None) for one in self.list_filter}
        return lookup in self.lookups or lookup in own

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return UncountedList

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Actions are for rows that somebody saw and ticked, never for all there are."""
        if request.POST.get("select_across") not in (None, "", "0"):
            messages.error(request, "Tick the rows on this page: an action on all pages is not possible.")
            return None
        response: HttpResponseBase | None = super().response_action(request, queryset)
        return response


class HistoryAdmin(QuickListAdmin):
    """What has happened: to look at, never to change."""

    search_fields = ("pk",)  # shows the box; `search` answers it
    actions: Any = None

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

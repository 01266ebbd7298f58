"""Base classes of admin lists that stay fast with many rows: no COUNT, no deep OFFSET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from unfold.admin import ModelAdmin
from unfold.views import ChangeList


class OnePage(Page):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """A page that knows whether there is a next one, because one more row was read than it shows."""

    def __init__(self, rows: Sequence[Any], number: int, paginator: UncountedPaginator) -> None:
        self.is_last = len(rows) <= paginator.per_page
        super().__init__(rows[: paginator.per_page], number, paginator)

    def has_next(self) -> bool:
        return not self.is_last


class UncountedPaginator(Paginator):  # type: ignore[type-arg]  # as above
    """Pages without a count. Deep pages read all rows before them, so there are at most `most_pages`."""

    template_name = "admin/pages.html"
    count = 10**9  # Django's list asks for it before reading; it is not shown
    most_pages = 200

    def validate_number(self, number: Any) -> int:
        return max(1, min(int(number), self.most_pages))

    def page(self, number: Any) -> OnePage:
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        self.shown = OnePage(list(self.object_list[begin : begin + self.per_page + 1]), number, self)
        return self.shown


class UncountedList(ChangeList):  # type: ignore[misc]  # unfold ships no types
    """A list that counts only the rows of its page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_count = self.full_result_count = len(self.result_list)  # of this page


class QuickListAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Lists without counts that allow only known lookups.

    Django lets a list's URL filter by any field of its model (`?text__contains=`), which would reveal text, letter by
    letter, to staff who may not read it. Here only `lookups` and the parameters of the list's filters are allowed.
    """

    lookups: ClassVar[frozenset[str]] = frozenset()
    paginator: Any = UncountedPaginator
    sortable_by: ClassVar[Any] = ()  # an order without an index would sort the whole table
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
        """Runs an action on selected rows only, never on all pages."""
        if request.POST.get("select_across") not in (None, "", "0"):
            messages.error(request, gettext("Select rows on this page. Actions on all pages are not possible."))
            return None
        response: HttpResponseBase | None = super().response_action(request, queryset)
        return response

"""Base classes for admin lists that stay fast with many rows: no COUNT, no deep OFFSET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from unfold.admin import ModelAdmin
from unfold.views import ChangeList


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

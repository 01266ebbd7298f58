"""Base classes of admin lists that stay fast with many rows: no COUNT, no deep OFFSET."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.core.exceptions import EmptyResultSet
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts.lib.formatting import number
from accounts.staff import quick_rows
from accounts.staff.columns import PlainDecimals, plain_column

quick_rows.install()


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
    estimate: int | None = None  # of all rows, where there are more than a page

    @property
    def about(self) -> str:
        """The estimate with two digits; empty where the rows that were seen say as much."""
        if self.estimate is None or self.estimate <= self.shown.number * self.per_page:
            return ""
        size = 10 ** max(len(str(self.estimate)) - 2, 0)
        return number(round(self.estimate / size) * size)

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
        if self.paginator.shown.has_next():
            self.paginator.estimate = estimated_rows(self.queryset)
        self.result_count = self.full_result_count = len(self.result_list)  # of this page


def estimated_rows(rows: QuerySet[Any]) -> int | None:
    """How many rows the database expects, which reads none of them; None where it does not say."""
    try:
        found = json.loads(rows.order_by().explain(format="json"))
        return int(found[0]["Plan"]["Plan Rows"])
    except (EmptyResultSet, ValueError, KeyError, IndexError, TypeError):
        return None


class QuickListAdmin(PlainDecimals, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Lists without counts that allow only known lookups.

    Django lets a list's URL filter by any field of its model (`?text__contains=`), which would reveal text, letter by
    letter, to staff who may not read it. Here only `lookups` and what the list's own filters ask for are allowed.
    """

    lookups: ClassVar[frozenset[str]] = frozenset()
    paginator: Any = UncountedPaginator
    sorted_by: ClassVar[dict[str, str]] = {}  # columns and what orders them: only what an index has in order
    show_full_result_count = False
    list_disable_select_all = True
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        own = {getattr(one, "parameter_name", None) for one in self.list_filter}
        fields = [one for one in self.list_filter if isinstance(one, str) and "__" not in one]
        return lookup in self.lookups or lookup in own or any(lookup in self._asked_by_filter(one) for one in fields)

    def _asked_by_filter(self, name: str) -> tuple[str, ...]:
        """The lookups of Django's filters by a field of the model: by choices, a relation, or values in use."""
        field: Any = self.opts.get_field(name)
        value = f"{name}__{field.target_field.name}" if field.is_relation else name
        return name, f"{value}__exact", f"{name}__isnull"

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """An order without an index would sort the whole table."""
        return tuple(self.sorted_by)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Dates and amounts as all of staff's pages write them."""
        return [plain_column(self, name, self.sorted_by.get(name, "")) for name in super().get_list_display(request)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Dates and amounts that cannot be changed there as in lists."""
        fixed = {name for name in self.get_readonly_fields(request, obj) if isinstance(name, str)}
        found = super().get_fieldsets(request, obj)
        return [(title, {**options, "fields": self.plain(options["fields"], fixed)}) for title, options in found]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = tuple(super().get_readonly_fields(request, obj))
        return (*found, *(one for one in self.plain(found) if callable(one) and one not in found))

    def plain(self, names: Iterable[Any], only: Container[str] | None = None) -> list[Any]:
        """What stands for these fields, each once; `only` for some of them."""
        shown = (
            tuple(self.plain(one, only)) if isinstance(one, list | tuple)
            else plain_column(self, one) if only is None or one in only
            else one
            for one in names
        )  # fmt: skip
        return list(dict.fromkeys(shown))

    @admin.display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Model) -> str:
        return quick_rows.select_box(str(obj.pk))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return UncountedList

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Runs an action on selected rows only, never on all pages."""
        if request.POST.get("select_across") not in (None, "", "0"):
            messages.error(request, gettext("Select rows on this page. Actions on all pages are not possible."))
            return None
        response: HttpResponseBase | None = super().response_action(request, queryset)
        return response

"""Base classes of admin pages with an audit log or without changes."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from accounts import audit
from accounts.staff.lists import QuickListAdmin


class RecordedAdmin(QuickListAdmin):
    """Records each change in the audit log before it happens, with before and after of each field."""

    private_fields: ClassVar[tuple[str, ...]] = ()  # whose texts people wrote: the log only has their lengths

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            audit.record(request, "change", obj, changes=audit.form_changes(form, self.private_fields))
        super().save_model(request, obj, form, change)
        if not change:
            audit.record(request, "add", obj, changes=audit.form_changes(form, self.private_fields))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        if change and formset.has_changed():
            audit.record(request, f"change_{formset.prefix}", form.instance, changes=_rows_changed(formset))
        super().save_formset(request, form, formset, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.record(request, "delete", obj)
        super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)  # objects are deleted one by one, so that each is recorded
        return found


def _rows_changed(formset: Any) -> dict[str, tuple[str, str]]:
    """Before and after of the fields of a formset's rows, each under the row's name."""
    changes: dict[str, tuple[str, str]] = {}
    for form in formset.forms:
        row = str(form.instance) if form.instance.pk else f"+{form.prefix}"
        if form in formset.deleted_forms:
            changes[row] = (row, "")
        elif form.has_changed():
            changes |= {f"{row}: {name}": pair for name, pair in audit.form_changes(form).items()}
    return changes


class IdOrEmailSearch(QuickListAdmin):
    """A list that is searched by an id or an email address."""

    search_fields = ("pk",)  # shows the search box; `search` implements it

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        """The rows for an id or an email address. Both must use an index."""
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


class UnchangeableRows:
    """For an admin page whose rows nobody adds, changes or deletes there; it may have actions of its own."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class HistoryAdmin(UnchangeableRows, IdOrEmailSearch):
    """A read-only list."""

    actions: Any = None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Dates and amounts as in lists: nothing here can be changed."""
        found = super().get_fieldsets(request, obj)
        return [(title, {**options, "fields": self.plain(options["fields"])}) for title, options in found]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = tuple(super().get_readonly_fields(request, obj))
        plain = self.plain(one.name for one in self.model._meta.get_fields())  # noqa: SLF001  # Django documents it
        return (*found, *(one for one in plain if callable(one)))

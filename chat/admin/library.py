"""What the admin pages of presets and prompts have in common.

Staff edit their own. What users made can be seen, disabled and deleted, but not changed. Its texts are shown only with
the permission to read messages, and the audit log records each time.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import ManyToManyField, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.staff.recorded import RecordedAdmin
from chat.admin.filters import Filter
from chat.models.messages import READ_TEXT


class LibraryForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    def _get_validation_exclusions(self) -> set[str]:
        """The owner is no field of the form, but names are unique for each owner."""
        return set(super()._get_validation_exclusions()) - {"owner"}  # type: ignore[misc]  # the stubs leave it out


class OwnerFilter(Filter):
    title = _("made by")
    parameter_name = "made_by"

    def offered(self) -> list[tuple[str, str]]:
        return [("staff", gettext("Staff")), ("users", gettext("Users")), ("shared", gettext("Users, and shared"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "staff":
                return queryset.filter(owner=None)
            case "users":
                return queryset.exclude(owner=None)
            case "shared":
                shared = queryset.model.groups.through.objects.values(queryset.model._meta.model_name)  # noqa: SLF001
                return queryset.exclude(owner=None).filter(pk__in=shared)
        return queryset


class DisabledFilter(Filter):
    title = _("disabled by staff")
    parameter_name = "disabled"

    def offered(self) -> list[tuple[str, str]]:
        return [("yes", gettext("Yes")), ("no", gettext("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(disabled_by_staff=self.value() == "yes") if self.value() else queryset


class LibraryAdmin(RecordedAdmin):
    """`texts` are the fields that hold what a user wrote; `facts` what else is shown of a user's own."""

    texts: ClassVar[tuple[str, ...]]
    facts: ClassVar[tuple[str, ...]]
    list_filter = (OwnerFilter, DisabledFilter)
    list_select_related = ("owner",)
    actions = ("disable", "enable_again")
    formfield_overrides: ClassVar = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
    search_help_text = _("A part of the name, or its owner's email address")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(name__icontains=term) | Q(owner__email=term.lower())), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or obj.owner_id is None:
            return super().get_fieldsets(request, obj)
        found: list[Any] = [(None, {"fields": (*self.facts, "disabled_by_staff")})]
        if request.user.has_perm(READ_TEXT):
            found.append((gettext("Text by the owner"), {"fields": self.texts}))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or obj.owner_id is None:
            return super().get_readonly_fields(request, obj)
        return (*self.facts, *self.texts)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and obj.owner_id is not None and request.user.has_perm(READ_TEXT):
            audit.record(request, "read_body", obj)
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response

    @admin.display(description=_("Owner"))
    def made_by(self, row: Any) -> str:
        return row.owner.email if row.owner else gettext("Staff")

    @admin.display(description=_("Available to"))
    def available_to(self, row: Any) -> str:
        groups = ", ".join(group.name for group in row.groups.all())
        return groups or (gettext("The owner") if row.owner_id else gettext("Everyone"))

    @admin.display(description=_("Disabled"), boolean=True)
    def is_disabled(self, row: Any) -> bool:
        return bool(row.disabled_by_staff)

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._set(request, queryset, disabled=True)

    @admin.action(description=_("Enable again"), permissions=["change"])
    def enable_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._set(request, queryset, disabled=False)

    def _set(self, request: HttpRequest, queryset: QuerySet[Any], *, disabled: bool) -> None:
        rows = [row for row in queryset if self.is_disabled(row) != disabled]
        for row in rows:
            audit.record(request, "change", row, details="disabled" if disabled else "enabled")
        self.switch(queryset.model.objects.filter(pk__in=[row.pk for row in rows]), disabled=disabled)
        count = len(rows)
        if disabled:
            said = ngettext("%(count)d item was disabled.", "%(count)d items were disabled.", count)
        else:
            said = ngettext("%(count)d item was enabled.", "%(count)d items were enabled.", count)
        messages.success(request, said % {"count": count})

    def switch(self, rows: QuerySet[Any], *, disabled: bool) -> None:
        """Disables rows, or enables them again."""
        rows.update(disabled_by_staff=disabled)

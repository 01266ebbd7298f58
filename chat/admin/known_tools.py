"""The admin's list of tools: which are on, what they count as, and what their servers changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from accounts import audit
from accounts.staff.recorded import RecordedAdmin
from chat.admin.filters import Filter
from chat.catalog.tool_servers import accept_tools
from chat.models import KnownTool


class StateFilter(Filter):
    """By whether a tool is on, and why not."""

    title = "state"
    parameter_name = "state"

    def offered(self) -> list[tuple[str, str]]:
        return [("on", "On"), ("off", "Off"), ("changed", "Changed: to look at"), ("gone", "Not listed any more")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "on":
                return queryset.filter(enabled=True, gone_at=None)
            case "off":
                return queryset.filter(enabled=False, gone_at=None)
            case "changed":
                return queryset.exclude(changed_at=None)
            case "gone":
                return queryset.exclude(gone_at=None)
        return queryset


@admin.register(KnownTool)
class KnownToolAdmin(RecordedAdmin):
    list_display = ("title", "name", "from_server", "state", "effect", "approval", "by_default", "seen_at")
    list_filter = (StateFilter, "effect")
    search_fields = ("name", "title", "server")
    ordering = ("server", "name")
    actions = ("turn_on", "turn_off")
    readonly_fields = (
        "server", "name", "upstream_name", "title", "description", "parameters", "outside", "changed_at",
        "what_it_was", "seen_at", "gone_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("enabled", "by_default", "effect", "approval")}),
        (
            "As its server lists it",
            {"fields": ("server", "name", "upstream_name", "title", "description", "parameters")},
        ),
        ("Changes", {"fields": ("changed_at", "what_it_was", "seen_at", "gone_at")}),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """What staff set is not changed by a listing. A tool that is turned on is taken as it is now."""
        if {"effect", "approval"} & set(form.changed_data):
            obj.decided = True
        if obj.enabled and "enabled" in form.changed_data:
            obj.changed_at, obj.earlier = None, None
        super().save_model(request, obj, form, change)

    @admin.action(description="Turn on, as they are now", permissions=["change"])
    def turn_on(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        with transaction.atomic():
            self._record(request, "turn_on", queryset)
            accept_tools(queryset)
            queryset.update(enabled=True)
        messages.success(request, "The tools are on.")

    @admin.action(description="Turn off for everybody", permissions=["change"])
    def turn_off(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        with transaction.atomic():
            self._record(request, "turn_off", queryset)
            queryset.update(enabled=False)
        messages.success(request, "The tools are off. No new call of them begins.")

    def _record(self, request: HttpRequest, verb: str, queryset: QuerySet[KnownTool]) -> None:
        for row in queryset:
            audit.record(request, verb, row, details=str(row))

    @admin.display(description="Server", ordering="server")
    def from_server(self, row: KnownTool) -> str:
        return row.server or "our own"

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description="State", label={"on": "success", "changed": "danger", "off": "warning", "gone": "info"}
    )
    def state(self, row: KnownTool) -> str:
        if row.gone_at is not None:
            return "gone"
        return "changed" if row.changed_at is not None else "on" if row.enabled else "off"

    @admin.display(description="Before that")
    def what_it_was(self, row: KnownTool) -> SafeString | str:
        if row.changed_at is None:
            return "–"
        if row.earlier is None:
            return "It was added after the server was set up."
        same = "The parameters are the same." if row.earlier["parameters"] == row.parameters else "Its parameters were"
        parameters = "" if same.endswith("same.") else row.earlier["parameters"]
        return format_html("{}<br>{} {}", row.earlier["description"] or "No description.", same, parameters)

"""Known tools and the policies about them in the admin: which are offered, and when a person must allow a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts import audit
from accounts.staff.labels import Label
from accounts.staff.recorded import RecordedAdmin
from chat.admin.filters import Filter
from chat.admin.tool_calls import ServerFilter
from chat.models import KnownTool, ToolPolicy
from chat.runs.tool_rules import EVERY_SERVER

SOON: Final = _("This applies from the next answer on.")


class StateFilter(Filter):
    title = _("offered")
    parameter_name = "offered"

    def offered(self) -> list[tuple[str, str]]:
        return [
            ("yes", gettext("Offered")),
            ("no", gettext("Disabled by staff")),
            ("gone", gettext("No longer available")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return queryset.filter(enabled=True, gone_at=None)
            case "no":
                return queryset.filter(enabled=False)
            case "gone":
                return queryset.exclude(gone_at=None)
        return queryset


@admin.register(KnownTool)
class KnownToolAdmin(RecordedAdmin):
    """What a tool is comes from its code or its server; whether it is offered, and on by default, is staff's."""

    list_display = ("name", "title", "shown_server", "effect", "state", "by_default", "approval", "seen_at")
    list_filter = (ServerFilter, StateFilter)
    search_fields = ("name", "title")
    search_help_text = _("A part of the name")
    ordering = ("server", "name")
    list_per_page = 200  # a bulk edit concerns one page
    actions = ("switch_on", "switch_off", "use_by_default", "leave_off_by_default")
    readonly_fields = (
        "name", "title", "shown_server", "description", "effect", "approval", "outside", "shown_parameters", "seen_at",
        "gone_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "title", "shown_server", "description")}),
        (_("Offered"), {"fields": ("enabled", "by_default")}),
        (_("What it does"), {"fields": ("effect", "approval", "outside", "shown_parameters")}),
        (_("Seen"), {"fields": ("seen_at", "gone_at")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # workers publish them

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it would come back

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if self.has_change_permission(request) else {}

    @admin.action(description=_("Offer"))
    def switch_on(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        self._change(request, queryset, "enable_tool", "offered", enabled=True)

    @admin.action(description=_("Disable for everyone"))
    def switch_off(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        self._change(request, queryset, "disable_tool", "disabled", enabled=False)

    @admin.action(description=_("On by default"))
    def use_by_default(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        self._change(request, queryset, "change", "on by default", by_default=True)

    @admin.action(description=_("Off by default"))
    def leave_off_by_default(self, request: HttpRequest, queryset: QuerySet[KnownTool]) -> None:
        self._change(request, queryset, "change", "off by default", by_default=False)

    def _change(
        self, request: HttpRequest, queryset: QuerySet[KnownTool], verb: str, said: str, **values: bool
    ) -> None:
        with _locked(queryset) as rows:
            for row in rows:
                audit.record(request, verb, row, details=f"{row}: {said}")
            KnownTool.objects.filter(pk__in=[row.pk for row in rows]).update(**values)
        done = ngettext("%(count)d tool was changed. %(soon)s", "%(count)d tools were changed. %(soon)s", len(rows))
        messages.success(request, done % {"count": len(rows), "soon": SOON})

    @admin.display(description=_("Server"))
    def shown_server(self, row: KnownTool) -> str:
        return row.server or gettext("built-in")

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Offered"), label={"offered": "success", "off": "warning", "gone": "default"}
    )
    def state(self, row: KnownTool) -> Label:
        if row.gone_at is not None:
            return Label("gone", gettext("no longer available"))
        return Label("offered", gettext("offered")) if row.enabled else Label("off", gettext("off"))

    @admin.display(description=_("Parameters"))
    def shown_parameters(self, row: KnownTool) -> SafeString:
        text = json.dumps(row.parameters, indent=2, ensure_ascii=False)
        return format_html('<pre class="whitespace-pre-wrap break-words">{}</pre>', text)


class ToolPolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    class Meta:
        model = ToolPolicy
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose
        help_texts: ClassVar = {
            "server": _(
                "The short name of a tool server. Empty: built-in tools. *: all tools, including those of servers."
            ),
            "tool": _("The name of a tool as shown in the list of tools. Empty: all tools."),
        }

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        server, tool = cleaned.get("server") or "", cleaned.get("tool") or ""
        if server == EVERY_SERVER:
            if tool:
                self.add_error("tool", gettext("A policy for all tools must not name a tool."))
        elif tool and not KnownTool.objects.filter(server=server, name=tool).exists():
            self.add_error("tool", gettext("This server has no such tool. The page Tools lists the names."))
        elif server and not KnownTool.objects.filter(server=server).exists():
            self.add_error("server", gettext("No tools of this server are known."))
        return cleaned


@admin.register(ToolPolicy)
class ToolPolicyAdmin(RecordedAdmin):
    """When a person must allow a call, by tool, server and group; the most specific policy counts."""

    form = ToolPolicyForm
    list_display = ("__str__", "shown_group", "rule", "changed_at")
    list_select_related = ("group",)
    list_filter = ("rule",)
    lookups: ClassVar = frozenset({"rule__exact"})
    search_fields = ("server", "tool")
    search_help_text = _("Server or tool")
    ordering = ("server", "tool", "pk")
    fields = ("group", "server", "tool", "rule")

    @admin.display(description=_("For"))
    def shown_group(self, row: ToolPolicy) -> str:
        return str(row.group or gettext("everyone"))


@contextmanager
def _locked(queryset: QuerySet[KnownTool]) -> Iterator[list[KnownTool]]:
    """The selected rows, locked for one transaction."""
    with transaction.atomic():
        yield list(KnownTool.objects.filter(pk__in=queryset.values("pk")).order_by("pk").select_for_update())

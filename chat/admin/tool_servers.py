"""The admin of tool servers and of the tools that they list, with a test, and of people's log-ins there."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, ManyToManyField, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.staff.labels import Label
from accounts.staff.recorded import HistoryAdmin
from accounts.staff.with_test import AdminWithTest
from chat.admin.tool_server_forms import ToolServerForm
from chat.catalog.tool_servers import forget_log_ins
from chat.jobs import tool_servers as ask
from chat.models import Approval, KnownTool, ServerKind, ToolConnection, ToolEffect, ToolServer

REVOKE_SECONDS: Final = 15.0  # after so long, the rest of the selected log-ins is deleted without asking their servers


@admin.register(ToolServer)
class ToolServerAdmin(AdminWithTest):
    form = ToolServerForm
    list_display = ("title", "slug", "kind", "address", "coloured_use", "who", "tools", "last_test")
    list_select_related = ("owner",)
    list_filter = ("kind", "enabled", "trusted")
    search_fields = ("title", "slug", "address")
    ordering = ("title", "id")
    change_form_outer_before_template = "chat/admin/tool_server_test.html"
    formfield_overrides = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}  # noqa: RUF012
    fieldsets = (
        (None, {"fields": ("title", "slug", "kind", "address", "enabled", "trusted", "timeout")}),
        (_("OpenAPI document"), {"fields": ("document_address", "document")}),
        (_("Log-in"), {"fields": ("auth", "headers", "client_id", "client_secret", "scopes")}),
        (_("Who may use it"), {"fields": ("limited", "groups")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolServer]:
        return super().get_queryset(request).prefetch_related("groups")  # type: ignore[no-any-return]  # untyped base

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The short name is for ever. A server of the settings and a person's own are set up by others."""
        if obj is None:
            return ()
        if obj.kind == ServerKind.MCP_STDIO:
            return ("slug", "kind", "address", "document_address", "document", "auth", "client_id", "scopes")
        return ("slug",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        writes = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        hidden = {"headers", "client_secret"} if not writes or (obj and obj.kind == ServerKind.MCP_STDIO) else set()
        return [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name not in hidden)})
            for title, options in found
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A person's own server is theirs to change; staff can delete it."""
        return bool(super().has_change_permission(request, obj)) and (obj is None or obj.owner_id is None)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        assert isinstance(form, ToolServerForm)
        if form.cleaned_data.get("headers") is not None:
            audit.record(request, "set_headers", obj, details=", ".join(obj.header_names))
        if form.cleaned_data.get("client_secret"):
            audit.record(request, "set_secret", obj)
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and form.moved:
                forget_log_ins(obj)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Redirects to the server's page, which has the test."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)  # type: ignore[no-any-return]  # untyped base
        said = gettext("%(server)s has been saved. Now test it to list its tools.")
        messages.success(request, said % {"server": obj})
        return redirect("admin:chat_toolserver_change", obj.pk)

    # --- the test ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(require_POST(self.decide_tools))
        return [
            path("<uuid:object_id>/tools/", decide, name="chat_toolserver_tools"),
            *super().get_urls(),
        ]

    def decide_tools(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Turns the server's tools on and off, and sets what they count as and whether they ask (`on-`, `effect-` and
        `approval-` with the id of a tool). One that is turned on is taken as it is now.
        """
        server = get_object_or_404(ToolServer, pk=object_id)
        if not request.user.has_perm("chat.change_knowntool"):
            raise PermissionDenied
        with transaction.atomic():
            changed = 0
            for row in KnownTool.objects.select_for_update().filter(server=server.slug, gone_at=None).order_by("pk"):
                changed += self._decide(request, row)
        said = ngettext("%(count)d tool was changed.", "%(count)d tools were changed.", changed)
        messages.success(request, said % {"count": changed})
        return redirect("admin:chat_toolserver_change", server.pk)

    def _decide(self, request: HttpRequest, row: KnownTool) -> bool:
        effect, approval = request.POST.get(f"effect-{row.pk}"), request.POST.get(f"approval-{row.pk}")
        if effect not in ToolEffect.values or approval not in Approval.values:
            return False  # it was listed since the page was shown
        enabled = request.POST.get(f"on-{row.pk}") == "1"
        decided = (effect, approval) != (row.effect, row.approval)
        if not decided and enabled == row.enabled:
            return False
        audit.record(request, "change", row, details=f"{row}: {'on' if enabled else 'off'}, {effect}, {approval}")
        if enabled and not row.enabled:
            row.changed_at, row.earlier = None, None
        row.enabled, row.effect, row.approval, row.decided = enabled, effect, approval, row.decided or decided
        row.save(update_fields=["enabled", "effect", "approval", "decided", "changed_at", "earlier"])
        return True

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        with translation.override(settings.LANGUAGE_CODE):  # it is stored
            reply = ask.request_test(pk)
        return reply.passed, reply.sentence

    @method_decorator(sensitive_post_parameters())
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {})}
        server = ToolServer.objects.filter(pk=object_id).first() if object_id and _is_uuid(object_id) else None
        if server is not None and request.user.has_perm("chat.view_knowntool"):
            context["tools"] = KnownTool.objects.filter(server=server.slug, gone_at=None).order_by("name")
            context["may_decide"] = request.user.has_perm("chat.change_knowntool")
            context["effects"], context["approvals"] = ToolEffect.choices, Approval.choices
        return super().changeform_view(request, object_id, form_url, context)

    # --- the list ------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        listed = KnownTool.objects.filter(gone_at=None).exclude(server="").order_by().values("server")
        counted = listed.annotate(
            on=Count("pk", filter=Q(enabled=True)), changed=Count("pk", filter=Q(changed_at__isnull=False))
        )
        self._counts = {row["server"]: (row["on"], row["changed"]) for row in counted}
        return super().changelist_view(request, extra_context)

    _counts: dict[str, tuple[int, int]] = {}  # noqa: RUF012 -- replaced by each list

    @admin.display(description=_("Tools"))
    def tools(self, row: ToolServer) -> str:
        on, changed = self._counts.get(row.slug, (0, 0))
        if changed:
            return gettext("%(on)d on, %(changed)d to review") % {"on": on, "changed": changed}
        return gettext("%(on)d on") % {"on": on}

    @admin.display(description=_("For"))
    def who(self, row: ToolServer) -> str:
        if row.owner is not None:
            return gettext("only %(owner)s") % {"owner": row.owner}
        return (
            ", ".join(group.name for group in row.groups.all()) or gettext("nobody")
            if row.limited
            else gettext("everyone")
        )

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Use"),
        ordering="enabled",
        label={"on": "success", "off": "warning", "failed": "danger"},
    )
    def coloured_use(self, row: ToolServer) -> Label:
        if not row.enabled:
            return Label("off", gettext("off"))
        return Label("failed", gettext("listing failed")) if row.list_error else Label("on", gettext("on"))


@admin.register(ToolConnection)
class ToolConnectionAdmin(HistoryAdmin):
    list_display = ("user", "server", "coloured_state", "scopes", "expires_at", "last_used_at", "error")
    list_select_related = ("user", "server")
    list_filter = ("state",)
    ordering = ("-created_at",)
    actions = ("disconnect",)
    fields = (
        "user", "server", "state", "scopes", "expires_at", "connected_at", "refreshed_at", "last_used_at", "error",
    )  # fmt: skip

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        return rows.filter(user__email=email) if email is not None else rows.filter(Q(pk=id_) | Q(server=id_))

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chat.delete_toolconnection"))

    @admin.action(description=_("Revoke and delete the selected log-ins"), permissions=["disconnect"])
    def disconnect(self, request: HttpRequest, queryset: QuerySet[ToolConnection]) -> None:
        """Revokes the tokens at the servers where they can, and deletes them in any case."""
        rows = list(queryset.select_related("server", "user")[:20])  # each waits for a worker
        kept = []
        until = time.monotonic() + REVOKE_SECONDS
        for row in rows:
            audit.record(request, "disconnect", row)
            if time.monotonic() > until or not ask.request_revoke(row.pk).passed:
                kept.append(str(row.server))
            ToolConnection.objects.filter(pk=row.pk).delete()
        said = ngettext("%(count)d log-in was deleted.", "%(count)d log-ins were deleted.", len(rows))
        messages.success(request, said % {"count": len(rows)})
        if kept:
            said = gettext("Deleted here, but not revoked at these servers: %(servers)s.")
            messages.warning(request, said % {"servers": ", ".join(kept)})

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("State"),
        ordering="state",
        label={"connected": "success", "expired": "danger", "connecting": "default"},
    )
    def coloured_state(self, row: ToolConnection) -> Label:
        return Label(row.state, row.get_state_display())


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True

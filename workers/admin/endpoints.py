"""The admin of endpoints: their configuration, offered models and connection test. API keys are never shown."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.admin import StackedInline
from unfold.decorators import display

from accounts import audit
from accounts.lib.encryption import UnreadableError
from accounts.staff.labels import Label
from accounts.staff.with_test import AdminWithTest
from chat.catalog.access import clear_rules_cache
from chat.models import KnownModel
from workers.endpoints.connection_test import request_connection_test
from workers.endpoints.forms import EndpointForm, HeadersForm, ModelFormSet
from workers.endpoints.overview import count_offered, environment_endpoints, listed_models
from workers.endpoints.windows import learnt_elsewhere, model_windows
from workers.models import SMALLEST_WINDOW, Endpoint, EndpointKind, EndpointModel, Use
from workers.providers.kinds import AUTO


class ModelInline(StackedInline):  # type: ignore[misc]  # unfold ships no types
    model = EndpointModel
    form = HeadersForm
    formset = ModelFormSet
    fields = (
        ("name", "label", "position"),
        ("window", "first_chunk_timeout", "idle_timeout", "total_timeout"),
        ("headers", "extra_query", "extra_body"),
    )
    extra = 0
    verbose_name_plural = _("models (none: those that the endpoint lists)")


@admin.register(Endpoint)
class EndpointAdmin(AdminWithTest):
    form = EndpointForm
    inlines = (ModelInline,)
    list_display = ("name", "base_url", "api", "coloured_use", "offered", "key", "fallback", "last_test")
    list_select_related = ("fallback",)
    ordering = ("position", "id")
    list_before_template = "workers/environment.html"
    change_form_outer_before_template = "workers/endpoint_test.html"
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "api_key", "remove_key", "use", "position")}),
        (_("Fallback"), {"fields": ("fallback", "fallback_model")}),
        (_("Cut answers"), {"fields": ("prefill",)}),
        (
            _("Timeouts"),
            {"fields": (("connect_timeout", "first_chunk_timeout"), ("idle_timeout", "total_timeout"))},
        ),
        (_("Added to every request"), {"fields": ("headers", "extra_query", "extra_body")}),
    )
    search_fields = ("name", "base_url")
    _offered: dict[str, int] | None = None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """View-only staff see whether there is a key. The field to remove a key is shown only when there is one."""
        [(title, options), *others, (last, added)] = super().get_fieldsets(request, obj)
        hidden = {"api_key", "remove_key"} if not self._may_write(request, obj) else set()
        if obj is None or not obj.encrypted_key:
            hidden.add("remove_key")
        fields = [name for name in options["fields"] if name not in hidden]
        if "api_key" in hidden:
            fields.insert(3, "key")
        if not self._may_write(request, obj):
            added = {**added, "fields": ("stored_headers", "extra_query", "extra_body")}
        return [(title, {**options, "fields": fields}), *others, (last, added)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if self._may_write(request, obj) else ("key", "stored_headers")

    def _may_write(self, request: HttpRequest, obj: Endpoint | None) -> bool:
        if obj is None:
            return bool(self.has_add_permission(request))
        return bool(self.has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if form.cleaned_data.get("api_key"):
            audit.record(request, "set_key", obj)
            obj.set_key(form.cleaned_data["api_key"])
        elif form.cleaned_data.get("remove_key"):
            audit.record(request, "remove_key", obj)
            obj.set_key("")
        if form.cleaned_data.get("headers") is not None:
            audit.record(request, "set_headers", obj, details=", ".join(obj.header_names))
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Redirects to the endpoint's page, which has the connection test."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)  # type: ignore[no-any-return]  # untyped base
        said = gettext("%(endpoint)s has been saved. Now test the connection.")
        if obj.kind == AUTO:
            said = gettext("%(endpoint)s has been saved as %(api)s. Now test the connection.")
        messages.success(request, said % {"endpoint": obj, "api": EndpointKind(obj.api).label})
        return redirect("admin:workers_endpoint_change", obj.pk)

    # --- the test ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        show = self.admin_site.admin_view(require_POST(self.show_model))
        window = self.admin_site.admin_view(require_POST(self.set_window))
        return [
            path("<uuid:object_id>/windows/", window, name="workers_endpoint_window"),
            path("<uuid:object_id>/models/", show, name="workers_endpoint_model"),
            *super().get_urls(),
        ]

    def show_model(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Decides whether a model that the endpoint lists is offered (`model`, and `shown` 1 or 0)."""
        name = request.POST.get("model", "")[:200]
        with transaction.atomic():
            endpoint = get_object_or_404(Endpoint.objects.select_for_update(), pk=object_id)
            if not self.has_change_permission(request, endpoint):
                raise PermissionDenied
            if name:
                shown = request.POST.get("shown") == "1"
                endpoint.show_model(name, shown=shown)
                endpoint.save(update_fields=["shown_models", "hidden_models"])
                # The last decision counts: one in the list of models, for all endpoints, is taken back.
                KnownModel.objects.filter(name=name).exclude(visibility="").update(visibility="")
                transaction.on_commit(clear_rules_cache)
                audit.record(request, "show_model" if shown else "hide_model", endpoint)
        return redirect("admin:workers_endpoint_change", endpoint.pk)

    def set_window(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Sets the context window of a model that the endpoint lists (`model`, and `window` in tokens or empty)."""
        name, window = request.POST.get("model", "")[:200], request.POST.get("window", "").strip()
        with transaction.atomic():
            endpoint = get_object_or_404(Endpoint.objects.select_for_update(), pk=object_id)
            if not self.has_change_permission(request, endpoint):
                raise PermissionDenied
            tokens = int(window) if window.isdecimal() and len(window) < 10 else None
            if not name or (window and (tokens is None or tokens < SMALLEST_WINDOW)):
                said = gettext("A context window must be a whole number of at least %(least)d tokens.")
                messages.error(request, said % {"least": SMALLEST_WINDOW})
            else:
                endpoint.set_window(name, tokens)
                endpoint.save(update_fields=["model_windows"])
                audit.record(request, "set_window", endpoint)
        return redirect("admin:workers_endpoint_change", endpoint.pk)

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        result = request_connection_test(pk)
        return result.passed, result.message

    @method_decorator(sensitive_post_parameters())  # also the headers of each model
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {
            **(extra_context or {}),
            "may_choose": self.has_change_permission(request),
            "listed_models": listed_models(object_id) if object_id else None,
            "model_windows": model_windows(object_id) if object_id else None,
        }
        return super().changeform_view(request, object_id, form_url, context)

    # --- the list ------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self._offered = count_offered()
        context = {**(extra_context or {}), "settings_endpoints": environment_endpoints()}
        context["learnt_models"] = learnt_elsewhere()
        return super().changelist_view(request, context)

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Use"), ordering="use", label={"offered": "success", "standby": "info", "off": "warning"}
    )
    def coloured_use(self, row: Endpoint) -> Label:
        shown = {Use.OFFERED: gettext("offered"), Use.STANDBY: gettext("fallback"), Use.OFF: gettext("off")}
        return Label(row.use, shown[Use(row.use)])

    @admin.display(description=_("Offered models"))
    def offered(self, row: Endpoint) -> str:
        return "?" if self._offered is None else str(self._offered.get(str(row.pk), 0))

    @admin.display(description=_("API"), ordering="kind")
    def api(self, row: Endpoint) -> str:
        return str(EndpointKind(row.api).label)

    @admin.display(description=_("Extra headers"))
    def stored_headers(self, row: Endpoint) -> str:
        return ", ".join(row.header_names) or gettext("none")

    @admin.display(description=_("Key"))
    def key(self, row: Endpoint) -> str:
        if row.key_set_at is None:
            return gettext("none")
        try:
            row.read_key()
        except UnreadableError:
            return gettext("cannot be decrypted: enter it again")
        return gettext("set on %(date)s") % {"date": date_format(timezone.localtime(row.key_set_at), "Y-m-d")}

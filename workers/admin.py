"""The admin of endpoints: their configuration, offered models and connection test. API keys are never shown."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.forms import ModelForm
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from accounts import audit
from accounts.lib.encryption import UnreadableError
from accounts.staff.recorded import RecordedAdmin
from workers.endpoints.connection_test import request_connection_test
from workers.endpoints.overview import count_offered, environment_endpoints, listed_models
from workers.models import Endpoint, EndpointModel, Use


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """`api_key` is never pre-filled. A value replaces the stored key, which is never shown."""

    api_key = forms.CharField(
        label="API key", required=False, max_length=4000, strip=True,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "off"}),
    )  # fmt: skip
    remove_key = forms.BooleanField(label="Remove the key", required=False, widget=UnfoldBooleanWidget)

    class Meta:
        model = Endpoint
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = self.instance.base_url
        if "api_key" in self.fields:
            set_at = self.instance.key_set_at
            if set_at is None:
                help_text = "Stored encrypted and never shown again. Empty: the endpoint requires none."
            else:
                when = date_format(timezone.localtime(set_at), "Y-m-d H:i")
                help_text = f"Set on {when} and never shown again. Leave empty to keep it."
            self.fields["api_key"].help_text = help_text

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValidationError("A key must be one line of ASCII characters without spaces.")
        return key

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        kept = bool(self.instance.encrypted_key) and not cleaned.get("remove_key")
        if cleaned.get("api_key") and cleaned.get("remove_key"):
            raise ValidationError({"remove_key": "Enter a new key or remove the key, not both."})
        moved = _origin(self._before) != _origin(cleaned.get("base_url", self._before))
        if kept and moved and not cleaned.get("api_key"):
            # Otherwise anyone who may change an endpoint could have its key sent to a server of theirs.
            raise ValidationError({"api_key": f"The stored key is for {_origin(self._before)}. Enter the key again."})
        return cleaned


def _origin(url: str) -> str:
    """Scheme, host and port: the server that a key is sent to."""
    try:
        parts = urlsplit(url.strip())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
    except ValueError:
        return ""


class ModelFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # as above
    def clean(self) -> None:
        super().clean()
        if any(self.errors) or self.instance.use != Use.OFFERED:
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        names = [entered["name"] for entered in kept]
        clash = (
            EndpointModel.objects.filter(name__in=names, endpoint__use=Use.OFFERED)
            .exclude(endpoint=self.instance.pk)
            .select_related("endpoint")
            .first()
        )
        if clash is not None:
            raise ValidationError(
                f"The endpoint {clash.endpoint} already offers {clash.name}. Remove it there, or make this endpoint a"
                " fallback only."
            )


class ModelInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = EndpointModel
    formset = ModelFormSet
    fields = ("name", "label", "position", "first_chunk_timeout", "idle_timeout", "total_timeout")
    extra = 0
    verbose_name_plural = "models (none: those that the endpoint lists)"


@admin.register(Endpoint)
class EndpointAdmin(RecordedAdmin):
    form = EndpointForm
    inlines = (ModelInline,)
    list_display = ("name", "base_url", "coloured_use", "offered", "key", "fallback", "last_test")
    list_select_related = ("fallback",)
    ordering = ("position", "id")
    list_before_template = "workers/environment.html"
    change_form_outer_before_template = "workers/endpoint_test.html"
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "api_key", "remove_key", "use", "position")}),
        ("Fallback", {"fields": ("fallback", "fallback_model")}),
        ("Cut answers", {"fields": ("prefill",)}),
        (
            "Timeouts",
            {"fields": (("connect_timeout", "first_chunk_timeout"), ("idle_timeout", "total_timeout"))},
        ),
    )
    search_fields = ("name", "base_url")
    _offered: dict[str, int] | None = None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """View-only staff see whether there is a key. The field to remove a key is shown only when there is one."""
        [(title, options), *others] = super().get_fieldsets(request, obj)
        hidden = {"api_key", "remove_key"} if not self._may_write(request, obj) else set()
        if obj is None or not obj.encrypted_key:
            hidden.add("remove_key")
        fields = [name for name in options["fields"] if name not in hidden]
        if "api_key" in hidden:
            fields.insert(3, "key")
        return [(title, {**options, "fields": fields}), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if self._may_write(request, obj) else ("key",)

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
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Redirects to the endpoint's page, which has the connection test."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)  # type: ignore[no-any-return]  # untyped base
        messages.success(request, f"{obj} has been saved. Now test the connection.")
        return redirect("admin:workers_endpoint_change", obj.pk)

    # --- the test ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_connection))
        show = self.admin_site.admin_view(require_POST(self.show_model))
        return [
            path("<uuid:object_id>/test/", test, name="workers_endpoint_test"),
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
                audit.record(request, "show_model" if shown else "hide_model", endpoint)
        return redirect("admin:workers_endpoint_change", endpoint.pk)

    def test_connection(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Has a worker test the saved endpoint, and shows the result."""
        if not (self.has_view_permission(request) and request.user.has_perm("workers.test_endpoint")):
            raise PermissionDenied
        endpoint = get_object_or_404(Endpoint, pk=object_id)
        audit.record(request, "test", endpoint)
        if not connection.in_atomic_block:
            connection.close()  # it is not needed while this waits for the worker
        result = request_connection_test(endpoint.pk)
        Endpoint.objects.filter(pk=endpoint.pk).update(
            tested_at=timezone.now(), test_passed=result.passed, test_said=result.message
        )
        return redirect("admin:workers_endpoint_change", endpoint.pk)

    @method_decorator(sensitive_post_parameters("api_key"))
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {
            **(extra_context or {}),
            "may_test": request.user.has_perm("workers.test_endpoint"),
            "may_choose": self.has_change_permission(request),
            "listed_models": listed_models(object_id) if object_id else None,
        }
        return super().changeform_view(request, object_id, form_url, context)

    # --- the list ------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self._offered = count_offered()
        context = {**(extra_context or {}), "settings_endpoints": environment_endpoints()}
        return super().changelist_view(request, context)

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description="Use", ordering="use", label={"offered": "success", "fallback": "info", "off": "warning"}
    )
    def coloured_use(self, row: Endpoint) -> str:
        return {Use.OFFERED: "offered", Use.STANDBY: "fallback", Use.OFF: "off"}[Use(row.use)]

    @admin.display(description="Offered models")
    def offered(self, row: Endpoint) -> str:
        return "?" if self._offered is None else str(self._offered.get(str(row.pk), 0))

    @admin.display(description="Key")
    def key(self, row: Endpoint) -> str:
        if row.key_set_at is None:
            return "none"
        try:
            row.read_key()
        except UnreadableError:
            return "cannot be decrypted: enter it again"
        return f"set on {date_format(timezone.localtime(row.key_set_at), 'Y-m-d')}"

    @display(description="Last test", label={"works": "success", "fails": "danger"})  # type: ignore[untyped-decorator]
    def last_test(self, row: Endpoint) -> str:
        return "–" if row.tested_at is None else "works" if row.test_passed else "fails"

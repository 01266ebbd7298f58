"""The admin of webhooks: their address, events and secret, which is shown once; and the log of what was sent."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.auth.requests import user_of
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from accounts.staff.recorded import RecordedAdmin, UnchangeableRows
from chat.models.webhooks import DeliveryState, Webhook, WebhookDelivery, WebhookEvent
from chat.webhooks.addresses import check_address
from chat.webhooks.record import send_soon

COLOURS: Final = {"pending": "info", "delivered": "success", "failed": "danger"}


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    events = forms.MultipleChoiceField(
        label=_("Events"), choices=WebhookEvent.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = Webhook
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def clean_url(self) -> str:
        """Whether the network may be reached is checked with each delivery."""
        return check_address(self.cleaned_data["url"])


@admin.register(Webhook)
class WebhookAdmin(RecordedAdmin):
    form = WebhookForm
    list_display = ("name", "owner", "address", "enabled", "wanted", "succeeded_at")
    list_select_related = ("owner",)
    list_filter = ("enabled",)
    search_fields = ("name", "owner__email")
    ordering = ("name",)
    readonly_fields = ("owner", "succeeded_at", "disabled_because", "rotated_at")
    fieldsets = (
        (None, {"fields": ("name", "url", "enabled", "events", "with_text")}),
        (_("State"), {"fields": ("owner", "succeeded_at", "disabled_because", "rotated_at")}),
    )
    change_form_outer_before_template = "admin/webhook_actions.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        return found if obj is not None else found[:1]

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if not change:
            obj.created_by = user_of(request)
            obj.shown_secret = obj.new_secret()
        if obj.enabled:
            obj.disabled_because = ""
        super().save_model(request, obj, form, change)
        if change and obj.enabled:
            send_soon()  # what waited while it was disabled

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_secret(request, obj, obj.shown_secret)

    def get_urls(self) -> list[URLPattern]:
        renew = self.admin_site.admin_view(require_POST(never_cache(self.renew_secret)))
        return [path("<uuid:object_id>/secret/", renew, name="chat_webhook_secret"), *super().get_urls()]

    @sensitive_variables("secret")
    def renew_secret(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponse:
        """Gives the webhook a new secret and shows it. The one before signs as well for a day."""
        webhook = get_object_or_404(Webhook, pk=object_id)
        if not self.has_change_permission(request, webhook):
            raise PermissionDenied
        audit.record(request, "renew_secret", webhook)
        secret = webhook.new_secret()
        webhook.save(update_fields=["encrypted_secret", "encrypted_old_secret", "rotated_at"])
        return self._show_secret(request, webhook, secret)

    @sensitive_variables("secret")
    def _show_secret(self, request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request), "title": gettext("Secret of the webhook"), "webhook": webhook,
            "secret": secret, "back": reverse("admin:chat_webhook_change", args=[webhook.pk]),
        }  # fmt: skip
        response = TemplateResponse(request, "admin/webhook_secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description=_("Address"))
    def address(self, row: Webhook) -> str:
        return format_html('<span class="break-all">{}</span>', row.url)  # a long one must not leave a phone's screen

    @admin.display(description=_("Events"))
    def wanted(self, row: Webhook) -> str:
        return ", ".join(row.events)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(UnchangeableRows, QuickListAdmin):
    list_display = ("id", "webhook", "event", "coloured_state", "attempts", "last_result", "created_at")
    list_select_related = ("webhook",)
    list_filter = ("state", "event", "webhook")
    ordering = ("-id",)
    fields = readonly_fields = (
        "id", "webhook", "event", "coloured_state", "attempts", "next_attempt_at", "created_at", "data", "attempt_log",
    )  # fmt: skip
    actions = ("send_again",)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_webhook")

    @display(description=_("State"), label=COLOURS)  # type: ignore[untyped-decorator]  # unfold's, for the colours
    def coloured_state(self, row: WebhookDelivery) -> Label:
        return Label(row.state, str(DeliveryState(row.state).label))

    @admin.display(description=_("Last result"))
    def last_result(self, row: WebhookDelivery) -> str:
        last = row.log[-1] if row.log else None
        return "–" if last is None else str(last["error"] or f"HTTP {last['status']}")

    @admin.display(description=_("Log"))
    def attempt_log(self, row: WebhookDelivery) -> str:
        lines = [(one["at"], one["error"] or f"HTTP {one['status']}", one["ms"]) for one in row.log]
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}: {} ({} ms)</li>", lines)) if lines else "–"

    @admin.action(description=_("Send again"), permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """With all attempts again, and the same id."""
        ids = list(queryset.values_list("pk", flat=True))
        for row in queryset:
            audit.record(request, "resend", row)
        done = WebhookDelivery.objects.filter(pk__in=ids).update(
            state=DeliveryState.PENDING, attempts=0, next_attempt_at=timezone.now()
        )
        send_soon()
        said = ngettext("%(count)d delivery is sent again.", "%(count)d deliveries are sent again.", done)
        messages.success(request, said % {"count": done})

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

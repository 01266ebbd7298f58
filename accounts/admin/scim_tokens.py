"""The admin of SCIM tokens: a new one, whose secret is shown once, when each was used, and revoking."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import display

from accounts import audit
from accounts.auth.proof import check_recent_proof
from accounts.auth.requests import user_of
from accounts.models import ScimToken
from accounts.scim.tokens import give_secret
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from accounts.staff.recorded import RecordedAdmin


@admin.register(ScimToken)
class ScimTokenAdmin(RecordedAdmin, QuickListAdmin):
    list_display = ("name", "prefix", "coloured_state", "last_used_at", "created_by", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name",)
    ordering = ("-id",)
    readonly_fields = ("prefix", "coloured_state", "last_used_at", "created_by", "created_at", "revoked_at")
    fieldsets = (
        (None, {"fields": ("name",)}),
        (
            _("State"),
            {"fields": ("prefix", "coloured_state", "last_used_at", "created_by", "created_at", "revoked_at")},
        ),
    )
    actions = ("revoke",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        return found if obj is not None else found[:1]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # it is revoked instead, so that the audit log can name it

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_scimtoken")

    @sensitive_variables("secret")
    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if not change:
            check_recent_proof(request)
            obj.created_by = user_of(request)
            obj.shown_secret = give_secret(obj)
        super().save_model(request, obj, form, change)

    @sensitive_variables("secret")
    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request), "title": gettext("Secret of the SCIM token"), "token": obj,
            "secret": obj.shown_secret, "address": request.build_absolute_uri("/scim/v2"),
            "back": reverse("admin:accounts_scimtoken_changelist"),
        }  # fmt: skip
        response = TemplateResponse(request, "admin/accounts/scim_secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("State"), label={"working": "success", "revoked": "danger"}
    )
    def coloured_state(self, row: ScimToken) -> Label:
        if row.revoked_at is not None:
            return Label("revoked", gettext("revoked"))
        return Label("working", gettext("working"))

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ScimToken]) -> None:
        rows = list(queryset.filter(revoked_at=None))
        for row in rows:
            audit.record(request, "revoke", row, details=f"{row.name} ({row.prefix})")
        done = ScimToken.objects.filter(pk__in=[row.pk for row in rows]).update(revoked_at=timezone.now())
        said = ngettext("%(count)d token was revoked.", "%(count)d tokens were revoked.", done)
        messages.success(request, said % {"count": done})

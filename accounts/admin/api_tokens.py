"""The admin page of API tokens: whose there are, when they were used, and revoking them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from accounts import audit
from accounts.auth.api_tokens import revoke_tokens, shown_scopes
from accounts.models import ApiToken
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from accounts.staff.recorded import UnchangeableRows

STATES: Final = {"working": _("working"), "expired": _("expired"), "revoked": _("revoked")}


@admin.register(ApiToken)
class ApiTokenAdmin(UnchangeableRows, QuickListAdmin):
    list_display = ("prefix", "user", "name", "permissions", "coloured_state", "last_used_at", "expires_at")
    list_select_related = ("user",)
    lookups: ClassVar = frozenset({"user__exact"})
    ordering = ("-id",)
    search_fields = ("prefix__startswith", "user__email")
    search_help_text = _("Beginning of the token after ant_, or a user's email address")
    fields = readonly_fields = (
        "prefix", "user", "name", "permissions", "coloured_state", "rate", "daily_requests", "day", "day_count",
        "created_at", "last_used_at", "expires_at", "revoked_at",
    )  # fmt: skip
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.revoke_apitoken")

    @admin.display(description=_("Permissions"))
    def permissions(self, row: ApiToken) -> str:
        return ", ".join(shown_scopes(row.scopes))

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("State"), label={"working": "success", "expired": "warning", "revoked": "danger"}
    )
    def coloured_state(self, row: ApiToken) -> Label:
        return Label(row.state, str(STATES[row.state]))

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for row in queryset:
            audit.record(request, "revoke", row, details=row.prefix)
        done = revoke_tokens(ApiToken.objects.filter(pk__in=[row.pk for row in queryset]))
        messages.success(
            request,
            ngettext("%(count)d token was revoked.", "%(count)d tokens were revoked.", done) % {"count": done},
        )

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

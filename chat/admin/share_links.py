"""Share links and links to join in the admin: lists of all of them, in which staff revoke."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts import audit
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from chat.admin.links import page_link
from chat.conversations import join_links
from chat.models import JoinLink, ShareLink
from chat.shares import links

COLOURS: Final = {"active": "success", "expired": "warning", "revoked": "danger", "used": "warning"}


class LinkAdmin(QuickListAdmin):
    """A list of links of one kind. Nobody adds or changes them here."""

    lookups: ClassVar = frozenset({"created_by__exact", "conversation__exact"})
    list_select_related = ("created_by",)
    ordering = ("-id",)
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(super().has_change_permission(request))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(super().has_view_permission(request, obj)) or self.has_revoke_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def end(self, row: Any) -> None:
        """The link no longer works."""
        raise NotImplementedError

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rows = list(queryset.filter(revoked_at=None))
        for row in rows:
            audit.record(request, f"revoke_{self.opts.model_name}", row, conversation_id=row.conversation_id)
            self.end(row)
        said = ngettext("%(count)d link was revoked.", "%(count)d links were revoked.", len(rows))
        messages.success(request, said % {"count": len(rows)})

    @admin.display(description=_("Conversation"))
    def shown_conversation(self, row: Any) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @display(description=_("State"), label=COLOURS)  # type: ignore[untyped-decorator]  # unfold's, for the colours
    def state(self, row: Any) -> Label:
        if row.revoked_at is not None:
            return Label("revoked", gettext("revoked"))
        if row.expires_at <= timezone.now():
            return Label("expired", gettext("expired"))
        most = getattr(row, "most_uses", None)
        if most is not None and row.uses >= most:
            return Label("used", gettext("used up"))
        return Label("active", gettext("active"))


@admin.register(ShareLink)
class ShareLinkAdmin(LinkAdmin):
    list_display = (
        "id", "shown_conversation", "created_by", "kind", "audience", "views", "state", "created_at", "expires_at",
    )  # fmt: skip
    fields = readonly_fields = (
        "shown_conversation", "created_by", "kind", "audience", "show_names", "show_reasoning", "show_tools",
        "show_files", "views", "viewed_at", "state", "created_at", "expires_at", "revoked_at",
    )  # fmt: skip

    def end(self, row: ShareLink) -> None:
        links.revoke(row)


@admin.register(JoinLink)
class JoinLinkAdmin(LinkAdmin):
    list_display = ("id", "shown_conversation", "created_by", "role", "uses", "most_uses", "state", "expires_at")
    fields = readonly_fields = (
        "shown_conversation", "created_by", "role", "uses", "most_uses", "state", "created_at", "expires_at",
        "revoked_at",
    )  # fmt: skip

    def end(self, row: JoinLink) -> None:
        join_links.revoke(row)

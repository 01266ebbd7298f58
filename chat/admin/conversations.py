"""Conversations in the admin, with their members, sizes and cost."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from accounts.lib.formatting import money, number
from accounts.staff.columns import breakable, stamp, two_line_stamp
from chat.admin.base import BodyAdmin
from chat.admin.conversation_members import MemberActions
from chat.admin.conversation_reading import ReadingActions
from chat.admin.filters import MemberFilter, TrashFilter
from chat.admin.links import link, list_link, page_link
from chat.admin.trash import TrashActions
from chat.dashboard.people import show_people
from chat.dashboard.queues_page import show_queues
from chat.dashboard.speed_page import show_speed
from chat.dashboard.usage_page import show_usage
from chat.models import Conversation, Member, Message, Role, Run


class MemberInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = Member
    fields = readonly_fields = ("user", "role", "joined")
    extra = 0
    can_delete = False
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        rows: QuerySet[Member] = super().get_queryset(request).select_related("user")
        return rows

    @admin.display(description=_("Joined"))
    def joined(self, row: Member) -> SafeString | str:
        return stamp(row.joined_at, with_seconds=False)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.view_conversation")


@admin.register(Conversation)
class ConversationAdmin(ReadingActions, TrashActions, MemberActions, BodyAdmin):
    list_display = ("link", "owner", "member_total", "messages", "runs", "cost", "model", "updated", "deleted_at")
    list_display_links = None
    ordering = ("-updated_at",)
    sorted_by: ClassVar = {"updated": "updated_at"}
    list_filter = (TrashFilter, MemberFilter)
    search_help_text = _("Conversation id, or a member's email address")
    facts = (
        "id", "owner", "model", "preset", "temperature", "max_tokens", "effort", "cost", "created_at", "updated_at",
        "deleted_at", "message_list", "run_list", "member_link", "restore_link",
    )  # fmt: skip
    body_fields = ("read_link", "title", "system_prompt")
    body_title = _("Title and system prompt")
    inlines = (MemberInline,)

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return ("title", "system_prompt")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        owner = Member.objects.filter(conversation=OuterRef("pk"), role=Role.OWNER).order_by("pk")

        def count(model: Any) -> Any:
            theirs = model.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
            return Coalesce(Subquery(theirs.annotate(count=Count("pk")).values("count")), 0)

        runs = Run.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                owner_email=Subquery(owner.values("user__email")[:1]),
                member_count=count(Member),
                message_count=count(Message),
                run_count=count(Run),
                spent=Subquery(runs.annotate(spent=Sum("cost")).values("spent")),
            )
        )
        return rows

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is None:
            return rows.filter(pk=id_)
        return rows.filter(pk__in=Member.objects.filter(user__email=email).values("conversation"))

    @admin.display(description=_("Conversation"))
    def link(self, row: Conversation) -> SafeString | str:
        return page_link("conversation", row.pk)

    @admin.display(description=_("Owner"))
    def owner(self, row: Any) -> SafeString | str:
        return breakable(row.owner_email or "", "@")

    @admin.display(description=_("Messages"))
    def messages(self, row: Any) -> int:
        return int(row.message_count)

    @admin.display(description=_("Members"))
    def member_total(self, row: Any) -> int:
        return int(row.member_count)

    @admin.display(description=_("Runs"))
    def runs(self, row: Any) -> int:
        return int(row.run_count)

    @admin.display(description=_("Cost"))
    def cost(self, row: Any) -> str:
        return money(row.spent)

    @admin.display(description=_("Updated"), ordering="updated_at")
    def updated(self, row: Any) -> SafeString | str:
        return two_line_stamp(row.updated_at)

    @admin.display(description=_("Messages"))
    def message_list(self, row: Any) -> SafeString:
        return list_link("message", row, gettext("Show %(count)s") % {"count": number(row.message_count)})

    @admin.display(description=_("Members"))
    def member_link(self, row: Any) -> SafeString:
        return link(reverse("admin:chat_conversation_members", args=[row.pk]), gettext("View and change"))

    @admin.display(description=_("Messages"))
    def read_link(self, row: Any) -> SafeString:
        return link(reverse("admin:chat_conversation_read", args=[row.pk]), gettext("Read the conversation"))

    @admin.display(description=_("Trash"))
    def restore_link(self, row: Any) -> SafeString | str:
        if row.deleted_at is None:
            return "–"
        return link(reverse("admin:chat_conversation_restore", args=[row.pk]), gettext("Restore…"))

    @admin.display(description=_("Runs"))
    def run_list(self, row: Any) -> SafeString:
        return list_link("run", row, gettext("Show %(count)s") % {"count": number(row.run_count)})


for _route, _view in (
    ("usage", show_usage),
    ("speed", show_speed),
    ("people", show_people),
    ("queues", show_queues),
):
    admin.site.add_page(f"{_route}/", _view, _route)  # type: ignore[attr-defined]  # it is a StaffSite

"""Staff's pages about conversations, messages and runs.

What people and models wrote, and titles made from it, is loaded and shown only on the page of one message or
conversation, only with the permission `chat.read_message_body`, and each time an audit entry is written first.
Lists never load it, search never looks into it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from accounts import audit
from accounts.models import User
from accounts.staff import HistoryAdmin
from chat import admin_presets as admin_presets  # registers its page
from chat import admin_runs as admin_runs  # likewise
from chat import usage_report
from chat.models import Conversation, Member, Message, Recording, Role, Run
from chat.readable import clock, money, number, seconds
from chat.recordings_page import audio_file
from chat.staff_filters import PeriodFilter
from chat.staff_links import link, list_link, page_link

PERMISSION = "chat.read_message_body"


class BodyAdmin(HistoryAdmin):
    """A page whose `body_fields` only those with the permission get, with an entry in the audit log each time."""

    facts: ClassVar[tuple[str, ...]]
    body_fields: ClassVar[tuple[str, ...]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred: QuerySet[Any] = super().get_queryset(request).defer(*self.secrets())
        return deferred

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        """The columns that hold what people and models wrote."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        found: list[Any] = [(None, {"fields": self.facts})]
        if request.user.has_perm(PERMISSION):
            found.append(("What was written", {"fields": self.body_fields}))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.facts + self.body_fields

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm(PERMISSION):
            conversation_id = obj.pk if isinstance(obj, Conversation) else obj.conversation_id
            audit.record(request, "read_body", obj, conversation_id=conversation_id)
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response


class MemberInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = Member
    fields = readonly_fields = ("user", "role", "joined_at")
    extra = 0
    can_delete = False
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        rows: QuerySet[Member] = super().get_queryset(request).select_related("user")
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.view_conversation")


@admin.register(Conversation)
class ConversationAdmin(BodyAdmin):
    list_display = ("link", "owner", "members_shown", "messages", "runs", "cost", "model", "updated", "deleted_at")
    list_display_links = None
    ordering = ("-updated_at",)
    search_help_text = "Conversation id, or a member's e-mail address"
    facts = ("id", "owner", "model", "cost", "created_at", "updated_at", "deleted_at", "message_list", "run_list")
    body_fields = ("title", "system_prompt")
    inlines = (MemberInline,)

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
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

    @admin.display(description="Conversation")
    def link(self, row: Conversation) -> SafeString | str:
        return page_link("conversation", row.pk)

    @admin.display(description="Owner")
    def owner(self, row: Any) -> str:
        return row.owner_email or "–"

    @admin.display(description="Messages")
    def messages(self, row: Any) -> int:
        return int(row.message_count)

    @admin.display(description="Members")
    def members_shown(self, row: Any) -> int:
        return int(row.member_count)

    @admin.display(description="Runs")
    def runs(self, row: Any) -> int:
        return int(row.run_count)

    @admin.display(description="Cost of its runs")
    def cost(self, row: Any) -> str:
        return money(row.spent)

    @admin.display(description="Updated")
    def updated(self, row: Any) -> str:
        return clock(row.updated_at)

    @admin.display(description="Messages")
    def message_list(self, row: Any) -> SafeString:
        return list_link("message", row, f"Show {number(row.message_count)}")

    @admin.display(description="Runs")
    def run_list(self, row: Any) -> SafeString:
        return list_link("run", row, f"Show {number(row.run_count)}")


@admin.register(Message)
class MessageAdmin(BodyAdmin):
    list_display = ("link", "conversation_link", "role", "author", "status", "created_at")
    list_display_links = None
    list_select_related = ("author",)
    list_filter = ("role",)  # how an answer ended is asked of runs, which have an index for it
    lookups: ClassVar = frozenset({"role__exact", "conversation__exact", "author__exact"})
    ordering = ("-id",)  # ids are ordered by time
    search_help_text = "Message or conversation id, or an author's e-mail address"
    facts = ("id", "conversation_link", "parent_link", "role", "author", "status", "created_at")
    body_fields = ("body",)

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        return ("text", "html")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(author__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    @admin.display(description="Message")
    def link(self, row: Message) -> SafeString | str:
        return page_link("message", row.pk)

    @admin.display(description="Conversation")
    def conversation_link(self, row: Message) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description="Answer to")
    def parent_link(self, row: Message) -> SafeString | str:
        return page_link("message", row.parent_id)

    @admin.display(description="Text")
    def body(self, row: Message) -> SafeString:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', row.text)


@admin.register(Recording)
class RecordingAdmin(HistoryAdmin):
    """Who spoke, for how long, and how it ended. What was understood is not here."""

    list_display = ("link", "status", "reason", "user", "language", "mode", "backend", "length", "created_at")
    list_display_links = None
    list_select_related = ("user",)
    list_filter = ("status", PeriodFilter)
    lookups: ClassVar = frozenset({"status__exact", "user__exact"})
    ordering = ("-created_at",)
    search_help_text = "Recording or conversation id, or a person's e-mail address"
    fields = (
        "id", "user", "conversation_link", "language", "mode", "auto_send", "status", "reason", "backend", "length",
        "audio_link", "created_at", "finished_at",
    )  # fmt: skip
    readonly_fields = ("conversation_link", "length", "audio_link")

    def get_urls(self) -> list[Any]:
        listen = self.admin_site.admin_view(self.listen)
        return [path("<uuid:pk>/audio/", listen, name="chat_recording_audio"), *super().get_urls()]

    def listen(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """What somebody said, as a file: for those who may read what was written, with an entry in the audit log."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        recording = Recording.objects.filter(pk=pk).exclude(audio="").first()
        if recording is not None:
            audit.record(request, "listened", recording, conversation_id=recording.conversation_id)
        return audio_file(recording)

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    @admin.display(description="Recording")
    def link(self, row: Recording) -> SafeString | str:
        return page_link("recording", row.pk)

    @admin.display(description="Conversation")
    def conversation_link(self, row: Recording) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description="Audio")
    def audio_link(self, row: Recording) -> SafeString | str:
        return link(reverse("admin:chat_recording_audio", args=[row.pk]), "Download") if row.audio else "not kept"

    @admin.display(description="Length")
    def length(self, row: Recording) -> str:
        return seconds(row.audio_ms / 1000)


admin.site.add_page("usage/", usage_report.show_usage, "usage")  # type: ignore[attr-defined]  # it is a StaffSite

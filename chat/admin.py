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
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts import audit
from accounts.models import User
from accounts.staff import HistoryAdmin
from chat.models import Conversation, Member, Message, Recording, Role, Run, RunStatus
from chat.readable import milliseconds, seconds
from chat.staff_filters import ErrorFilter, ModelFilter, PeriodFilter, SlowFilter, UserFilter

PERMISSION = "chat.read_message_body"


def _page_link(model: str, id_: uuid.UUID | None) -> SafeString | str:
    if id_ is None:
        return "–"
    # The last digits: the first ones of time-ordered ids are all alike.
    return _link(reverse(f"admin:chat_{model}_change", args=[id_]), str(id_)[-8:])


def _list_link(model: str, conversation: Conversation) -> SafeString:
    address = reverse(f"admin:chat_{model}_changelist")
    return _link(f"{address}?conversation__exact={conversation.pk}", "Show")


def _link(address: str, text: str) -> SafeString:
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text)


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
    list_display = ("link", "owner", "messages", "model", "updated_at", "deleted_at")
    list_display_links = None
    ordering = ("-updated_at",)
    search_help_text = "Conversation id, or a member's e-mail address"
    facts = ("id", "owner", "model", "created_at", "updated_at", "deleted_at", "message_list", "run_list")
    body_fields = ("title", "system_prompt")
    inlines = (MemberInline,)

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        return ("title", "system_prompt")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        owner = Member.objects.filter(conversation=OuterRef("pk"), role=Role.OWNER).order_by("pk")
        count = Message.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                owner_email=Subquery(owner.values("user__email")[:1]),
                message_count=Coalesce(Subquery(count.annotate(count=Count("pk")).values("count")), 0),
            )
        )
        return rows

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is None:
            return rows.filter(pk=id_)
        return rows.filter(pk__in=Member.objects.filter(user__email=email).values("conversation"))

    @admin.display(description="Conversation")
    def link(self, row: Conversation) -> SafeString | str:
        return _page_link("conversation", row.pk)

    @admin.display(description="Owner")
    def owner(self, row: Any) -> str:
        return row.owner_email or "–"

    @admin.display(description="Messages")
    def messages(self, row: Any) -> int:
        return int(row.message_count)

    @admin.display(description="Messages")
    def message_list(self, row: Conversation) -> SafeString:
        return _list_link("message", row)

    @admin.display(description="Runs")
    def run_list(self, row: Conversation) -> SafeString:
        return _list_link("run", row)


@admin.register(Message)
class MessageAdmin(BodyAdmin):
    list_display = ("link", "conversation_link", "role", "author", "status", "created_at")
    list_display_links = None
    list_select_related = ("author",)
    list_filter = ("role", "status")
    lookups: ClassVar = frozenset({"role__exact", "status__exact", "conversation__exact", "author__exact"})
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
        return _page_link("message", row.pk)

    @admin.display(description="Conversation")
    def conversation_link(self, row: Message) -> SafeString | str:
        return _page_link("conversation", row.conversation_id)

    @admin.display(description="Answer to")
    def parent_link(self, row: Message) -> SafeString | str:
        return _page_link("message", row.parent_id)

    @admin.display(description="Text")
    def body(self, row: Message) -> SafeString:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', row.text)


@admin.register(Run)
class RunAdmin(HistoryAdmin):
    list_display = (
        "link", "coloured_status", "error_code", "model", "requested_by", "tokens",
        "queued", "first_token", "total", "created_at",
    )  # fmt: skip
    list_display_links = None
    list_select_related = ("requested_by",)
    list_filter = ("status", ErrorFilter, ModelFilter, PeriodFilter, SlowFilter, UserFilter)
    lookups: ClassVar = frozenset({"status__exact", "conversation__exact"})
    ordering = ("-created_at",)
    search_help_text = "Run, message or conversation id, or a person's e-mail address"
    fieldsets = (
        (None, {"fields": ("id", "status", "model", "requested_by")}),
        ("Belongs to", {"fields": ("conversation_link", "prompt_link", "message_link")}),
        ("Error", {"fields": ("error_code", "error_message")}),
        ("Tokens", {"fields": ("input_tokens", "output_tokens", "usage_estimated")}),
        ("Time", {"fields": ("created_at", "started_at", "finished_at", "queued_ms", "first_token_ms", "total_ms")}),
        ("Work", {"fields": ("attempt", "lease_owner", "lease_expires_at", "enqueued_at", "stop_requested_at")}),
    )

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(requested_by__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(message=id_) | rows.filter(prompt=id_) | rows.filter(conversation=id_)

    @admin.display(description="Run")
    def link(self, row: Run) -> SafeString | str:
        return _page_link("run", row.pk)

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description="Status",
        ordering=F("status"),
        label={
            RunStatus.DONE.label: "success",
            RunStatus.FAILED.label: "danger",
            RunStatus.INTERRUPTED.label: "danger",
            RunStatus.STOPPED.label: "warning",
            RunStatus.RUNNING.label: "info",
        },
    )
    def coloured_status(self, row: Run) -> str:
        return str(row.get_status_display())

    @admin.display(description="Conversation")
    def conversation_link(self, row: Run) -> SafeString | str:
        return _page_link("conversation", row.conversation_id)

    @admin.display(description="Tokens in → out", ordering="output_tokens")
    def tokens(self, row: Run) -> str:
        if row.input_tokens is None and row.output_tokens is None:
            return "–"
        return f"{row.input_tokens or 0}\u202f→\u202f{row.output_tokens or 0}"

    @admin.display(description="Queued", ordering="queued_ms")
    def queued(self, row: Run) -> str:
        return milliseconds(row.queued_ms)

    @admin.display(description="First token", ordering="first_token_ms")
    def first_token(self, row: Run) -> str:
        return milliseconds(row.first_token_ms)

    @admin.display(description="Total", ordering="total_ms")
    def total(self, row: Run) -> str:
        return milliseconds(row.total_ms)

    @admin.display(description="Question")
    def prompt_link(self, row: Run) -> SafeString | str:
        return _page_link("message", row.prompt_id)

    @admin.display(description="Answer")
    def message_link(self, row: Run) -> SafeString | str:
        return _page_link("message", row.message_id)


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
        "created_at", "finished_at",
    )  # fmt: skip
    readonly_fields = ("conversation_link", "length")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    @admin.display(description="Recording")
    def link(self, row: Recording) -> SafeString | str:
        return _page_link("recording", row.pk)

    @admin.display(description="Conversation")
    def conversation_link(self, row: Recording) -> SafeString | str:
        return _page_link("conversation", row.conversation_id)

    @admin.display(description="Length")
    def length(self, row: Recording) -> str:
        return seconds(row.audio_ms / 1000)

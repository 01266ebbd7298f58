"""Steps of answers and calls of tools in the admin. Arguments and results need a permission of their own."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.lib.formatting import NOTHING, money, number, seconds
from accounts.models import User
from accounts.staff.columns import read_once
from accounts.staff.labels import Label
from accounts.staff.recorded import HistoryAdmin
from chat.admin.base import BodyAdmin
from chat.admin.filters import Filter, PeriodFilter, UserFilter
from chat.admin.links import page_link
from chat.models import KnownTool, Run, Step, ToolCall, ToolFile
from chat.models.tools import READ_CALLS

MOST_RUNS: Final = 1_000  # of a conversation whose calls are searched
COLOURS: Final = {
    "asked": "default", "waiting": "warning", "allowed": "info", "running": "info", "ok": "success", "error": "danger",
    "denied": "warning", "cancelled": "default", "unknown": "danger",
}  # fmt: skip


class ToolFilter(Filter):
    """By tool: its server's slug and its name, `server/name`; our own by the name alone."""

    title = _("tool")
    parameter_name = "tool"

    def offered(self) -> list[tuple[str, str]]:
        return [(str(tool), str(tool)) for tool in KnownTool.objects.order_by("server", "name")[:500]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        server, _, name = (self.value() or "").rpartition("/")
        return queryset.filter(server=server, name__in={name, f"{server}__{name}"})


class ServerFilter(Filter):
    title = _("server")
    parameter_name = "server"
    own = "-"  # our own tools

    def offered(self) -> list[tuple[str, str]]:
        slugs = KnownTool.objects.exclude(server="").order_by("server").values_list("server", flat=True).distinct()
        return [(self.own, gettext("Built-in tools")), *((slug, slug) for slug in slugs[:200])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(server="" if self.value() == self.own else self.value())


class CallUserFilter(UserFilter):
    """By who asked for the answer. Its value comes from a link."""

    parameter_name = "run__requested_by__exact"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            return queryset.filter(run__requested_by=uuid.UUID(self.value())) if self.value() else queryset
        except ValueError:
            return queryset.none()


@admin.register(ToolCall)
class ToolCallAdmin(BodyAdmin):
    """Each call: which tool, for whom, what became of it and how long it took. Each reading of the rest is recorded."""

    permission = READ_CALLS
    list_display = ("link", "coloured_status", "name", "shown_server", "effect", "asked_by", "took", "created_at")
    list_display_links = None
    list_select_related = ("run__requested_by",)
    list_filter = ("status", ToolFilter, ServerFilter, PeriodFilter, CallUserFilter)
    lookups: ClassVar = frozenset({"status__exact", "run__exact", "run__conversation__exact"})
    ordering = ("-created_at",)
    search_help_text = _("Call, run or conversation id, or a user's email address")
    facts = (
        "id", "status", "name", "title", "shown_server", "effect", "run_link", "conversation_link", "asked_by",
        "tries", "took", "shown_cost", "why", "decision", "decided_by", "decided_at", "created_at", "started_at",
        "ended_at", "expires_at", "output_chars",
    )  # fmt: skip
    body_fields = ("sent", "edited", "denied_because", "asked_question", "result", "found_sources", "made_files")
    body_title = _("Arguments and result")

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return (
            "arguments", "edited_arguments", "output", "sources", "queries", "question", "answers", "reason",
            "run__upstream_said",
        )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("run__requested_by")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(run__requested_by__in=User.objects.filter(email=email).values("pk"))
        runs = Run.objects.filter(Q(pk=id_) | Q(conversation=id_)).order_by("-created_at")
        return rows.filter(Q(pk=id_) | Q(run__in=list(runs.values_list("pk", flat=True)[:MOST_RUNS])))

    @admin.display(description=_("Call"))
    def link(self, row: ToolCall) -> SafeString | str:
        return page_link("toolcall", row.pk)

    @display(description=_("Status"), label=COLOURS)  # type: ignore[untyped-decorator]  # unfold's, for the colours
    def coloured_status(self, row: ToolCall) -> Label:
        return Label(row.status, row.get_status_display())

    @admin.display(description=_("Server"))
    def shown_server(self, row: ToolCall) -> str:
        return row.server or gettext("built-in")

    @admin.display(description=_("Requested by"))
    def asked_by(self, row: ToolCall) -> str:
        return str(row.run.requested_by or NOTHING)

    @admin.display(description=_("Duration"))
    def took(self, row: ToolCall) -> str:
        if row.started_at is None or row.ended_at is None:
            return NOTHING
        return exact_seconds((row.ended_at - row.started_at).total_seconds())

    @admin.display(description=_("Cost"))
    def shown_cost(self, row: ToolCall) -> str:
        return NOTHING if row.cost is None else money(row.cost)

    @admin.display(description=_("Run"))
    def run_link(self, row: ToolCall) -> SafeString | str:
        return page_link("run", row.run_id)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: ToolCall) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("Arguments"))
    def sent(self, row: ToolCall) -> SafeString | str:
        return _shown(row.arguments)

    @admin.display(description=_("Edited by a person"))
    def edited(self, row: ToolCall) -> SafeString | str:
        return _shown(row.edited_arguments)

    @admin.display(description=_("Reason for denial"))
    def denied_because(self, row: ToolCall) -> SafeString | str:
        return _shown(row.reason)

    @admin.display(description=_("Question and answers"))
    def asked_question(self, row: ToolCall) -> SafeString | str:
        return _shown("\n".join(map(str, filter(None, [row.question, *row.answers]))))

    @admin.display(description=_("Result"))
    def result(self, row: ToolCall) -> SafeString | str:
        return _shown(row.output)

    @admin.display(description=_("Sources"))
    def found_sources(self, row: ToolCall) -> SafeString | str:
        lines = [f"{one.get('n', '')} {one.get('title', '')} {one.get('url', '')}".strip() for one in row.sources]
        return _shown("\n".join([*map(str, row.queries), *lines]))

    @admin.display(description=_("Files"))
    def made_files(self, row: ToolCall) -> SafeString | str:
        files = read_once(row, "made_files", lambda: list(row.files.defer("content")))
        return _shown("\n".join(map(_file, files)))


@admin.register(Step)
class StepAdmin(HistoryAdmin):
    """The steps of all answers, without texts: requests to models with their tokens and cost, calls, and waits."""

    list_display = (
        "id", "run_link", "number", "kind", "status", "endpoint", "tokens", "shown_cost", "took", "started_at",
    )  # fmt: skip
    list_filter = ("kind", "status")
    lookups: ClassVar = frozenset({"kind__exact", "status__exact", "run__exact"})
    ordering = ("-id",)
    search_help_text = _("Run id, or a user's email address")
    fields = (
        "id", "run_link", "number", "attempt", "kind", "status", "endpoint", "text_chars", "input_tokens",
        "output_tokens", "cached_tokens", "reasoning_tokens", "shown_cost", "took", "started_at", "ended_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).defer("replay")
        return rows

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(run__requested_by__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(run=id_)

    @admin.display(description=_("Run"))
    def run_link(self, row: Step) -> SafeString | str:
        return page_link("run", row.run_id)

    @admin.display(description=_("Tokens"))
    def tokens(self, row: Step) -> str:
        if row.input_tokens is None and row.output_tokens is None:
            return NOTHING
        return f"{number(row.input_tokens or 0)} + {number(row.output_tokens or 0)}"

    @admin.display(description=_("Cost"))
    def shown_cost(self, row: Step) -> str:
        return NOTHING if row.cost is None else money(row.cost)

    @admin.display(description=_("Duration"))
    def took(self, row: Step) -> str:
        return NOTHING if row.ended_at is None else exact_seconds((row.ended_at - row.started_at).total_seconds())


def _file(row: ToolFile) -> str:
    shown = {"name": row.name, "type": row.media_type, "size": number(row.size)}
    return gettext("%(name)s (%(type)s, %(size)s bytes)") % shown


def exact_seconds(value: float) -> str:
    """A duration with a decimal below ten seconds: most calls take less."""
    return f"{max(0.0, value):.1f} s" if value < 9.95 else seconds(value)


def _shown(text: str) -> SafeString | str:
    if not text:
        return "–"
    return format_html('<div class="whitespace-pre-wrap break-words font-mono">{}</div>', text)

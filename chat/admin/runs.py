"""Runs in the admin: filters for slow and failed ones, the timeline of a run, stop and retry."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts import audit
from accounts.lib.formatting import NOTHING, from_to, milliseconds, money, number
from accounts.models import User
from accounts.staff.columns import breakable, two_line_stamp
from accounts.staff.labels import Label
from accounts.staff.recorded import HistoryAdmin
from chat.admin.filters import ErrorFilter, ModelFilter, PeriodFilter, SlowFilter, UserFilter
from chat.admin.links import link, page_link
from chat.admin.run_actions import retry_run, stop_run, why_no_retry, why_no_stop
from chat.admin.run_timeline import timeline_of
from chat.models import Run, RunStatus
from chat.models.messages import READ_TEXT
from chat.protocol.errors import Conflict

PERMISSION: Final = "chat.operate_run"
PARAMETER_NAMES: Final = {
    "temperature": _("temperature"), "max_tokens": _("max output tokens"), "effort": _("effort"),
}  # fmt: skip


def describe_parameters(values: Mapping[str, Any]) -> str:
    """Parameters in words, such as `temperature 0.2, max output tokens 300`; empty for none."""
    found = [f"{words} {values[name]}" for name, words in PARAMETER_NAMES.items() if name in values]
    if "tools" in values:
        names = ", ".join(values["tools"]) or gettext("none")
        found.append(gettext("tools: %(names)s") % {"names": names})
    return ", ".join(found)


@admin.register(Run)
class RunAdmin(HistoryAdmin):
    list_display = ("link", "coloured_status", "cause", "model", "asked_by", "started", "times", "cost_and_tokens")
    list_display_links = None
    list_select_related = ("requested_by",)
    list_filter = ("status", "finish", ErrorFilter, ModelFilter, PeriodFilter, SlowFilter, UserFilter)
    lookups: ClassVar = frozenset({"status__exact", "finish__exact", "conversation__exact"})
    ordering = ("-created_at",)
    sorted_by: ClassVar = {"started": "created_at"}
    search_help_text = _("Run, message, conversation or trace id, or a user's email address")
    actions = ("stop_runs", "retry_runs")
    change_form_outer_before_template = "admin/chat/run_timeline.html"
    fieldsets = (
        (None, {"fields": ("id", "trace_id", ("model", "endpoint"), ("requested_by", "conversation_link"),
                           ("prompt_link", "message_link"), "beside")}),
        (_("Tokens and cost"), {"fields": (("input_tokens", "output_tokens"), ("reasoning_tokens", "usage_estimated"),
                                         ("shown_cost", "usage"))}),
        (_("The provider"), {"fields": ("upstream_model", "finish", "upstream_request", "usage_implausible")}),
        (_("Parameters"), {"fields": (("sent_parameters", "dropped_parameters"), ("prompt_size", "asked_parameters"))}),
        (pgettext_lazy("thoughts of an answer", "Thinking"),
         {"fields": (("thought_for", "reasoning_chars"), "reasoning_link")}),
        (_("Processing"), {"fields": (("attempt", "ended_in_log"), ("lease_owner", "lease_expires_at"),
                                   "checkpoint_seq")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).defer("upstream_said")
        return rows

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        """A provider's words about a failure may quote the question, so they are shown like the text of messages."""
        found = list(super().get_fieldsets(request, obj))
        if request.user.has_perm(READ_TEXT):
            found.append((gettext("Provider message"), {"fields": ("upstream_said",)}))
        return found

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm(READ_TEXT) and obj.upstream_said:
            audit.record(request, "read_body", obj, conversation_id=obj.conversation_id)
            context["provider_said"] = obj.upstream_said
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def get_urls(self) -> list[URLPattern]:
        actions = [
            path(f"<uuid:run_id>/{name}/", self.admin_site.admin_view(view), name=f"chat_run_{name}")
            for name, view in (("stop", self.stop_view), ("retry", self.retry_view))
        ]
        return [*actions, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = extra_context or {}
        run = self.get_object(request, object_id)
        if run is not None:
            acts = [("stop", gettext("Stop"), why_no_stop(run)), ("retry", gettext("Retry"), why_no_retry(run))]
            extra |= {
                "timeline": timeline_of(run),
                "may_operate": self.has_operate_permission(request),
                "acts": [
                    {
                        "name": name,
                        "title": title,
                        "wrong": wrong,
                        "address": reverse(f"admin:chat_run_{name}", args=[run.pk]),
                    }
                    for name, title, wrong in acts
                ],
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    def stop_view(self, request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
        return self._operate(request, run_id, self._stop)

    def retry_view(self, request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
        return self._operate(request, run_id, self._retry)

    def _operate(
        self, request: HttpRequest, run_id: uuid.UUID, act: Callable[[HttpRequest, Run], uuid.UUID]
    ) -> HttpResponse:
        """Stops or retries one run from its page, then redirects to the run that `act` returns."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_operate_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        run = Run.objects.select_related("conversation", "requested_by").filter(pk=run_id).first()
        if run is None:
            raise Http404
        try:
            run_id = act(request, run)
        except Conflict as error:
            messages.error(request, error.message)
        return HttpResponseRedirect(reverse("admin:chat_run_change", args=[run_id]))

    def _stop(self, request: HttpRequest, run: Run) -> uuid.UUID:
        if wrong := why_no_stop(run):
            raise Conflict(wrong)
        audit.record(request, "stop_run", run, conversation_id=run.conversation_id)
        messages.success(request, stop_run(run))
        return run.pk

    def _retry(self, request: HttpRequest, run: Run) -> uuid.UUID:
        if wrong := why_no_retry(run):
            raise Conflict(wrong)
        audit.record(request, "retry_run", run, conversation_id=run.conversation_id)
        made = retry_run(run)
        said = gettext("Retried on behalf of %(user)s. This is the new run.")
        messages.success(request, said % {"user": run.requested_by})
        return made

    @admin.action(description=_("Stop"), permissions=["operate"])
    def stop_runs(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._operate_all(request, queryset, self._stop)

    @admin.action(description=_("Retry on behalf of the user"), permissions=["operate"])
    def retry_runs(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._operate_all(request, queryset, self._retry)

    def _operate_all(
        self, request: HttpRequest, queryset: QuerySet[Run], act: Callable[[HttpRequest, Run], uuid.UUID]
    ) -> None:
        """Stops or retries the selected runs one by one, and shows why some were refused."""
        for run in queryset.select_related("conversation", "requested_by"):
            try:
                act(request, run)
            except Conflict as error:
                messages.error(request, f"{str(run.pk)[-8:]}: {error.message}")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(requested_by__in=User.objects.filter(email=email).values("pk"))
        found = rows.filter(pk=id_) | rows.filter(message=id_) | rows.filter(prompt=id_) | rows.filter(conversation=id_)
        # A trace id has the digits of a UUID. It has no index, so it is looked for only where nothing else is found.
        return found if id_ is None or found.exists() else rows.filter(trace_id=id_.hex)

    @admin.display(description=_("Run"))
    def link(self, row: Run) -> SafeString | str:
        return page_link("run", row.pk)

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Status"),
        label={
            RunStatus.DONE.value: "success",
            RunStatus.FAILED.value: "danger",
            RunStatus.INTERRUPTED.value: "danger",
            RunStatus.STOPPED.value: "warning",
            RunStatus.RUNNING.value: "info",
            RunStatus.QUEUED.value: "default",
            RunStatus.WAITING.value: "default",
        },
    )
    def coloured_status(self, row: Run) -> Label:
        return Label(row.status, row.get_status_display())

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: Run) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("Compared with"))
    def beside(self, row: Run) -> SafeString | str:
        """The other runs of a comparison, each with its model; a dash for a run of its own."""
        others = Run.objects.filter(prompt=row.prompt_id, slot__gt=0).exclude(pk=row.pk).order_by("slot", "created_at")
        if not row.slot or not others:
            return "–"
        return format_html_join(", ", "{} {}", ((one.model, page_link("run", one.pk)) for one in others))

    @admin.display(description=_("Error code"))
    def cause(self, row: Run) -> SafeString | str:
        return breakable(row.error_code, "_")

    @admin.display(description=_("Requested by"))
    def asked_by(self, row: Run) -> SafeString | str:
        return breakable(str(row.requested_by), "@") if row.requested_by else NOTHING

    @admin.display(description=_("Started"), ordering="created_at")
    def started(self, row: Run) -> SafeString | str:
        return two_line_stamp(row.created_at)

    @admin.display(description=_("Cost"))
    def shown_cost(self, row: Run) -> str:
        return money(row.cost)

    @admin.display(description=_("Usage entry"))
    def usage(self, row: Run) -> SafeString:
        return link(f"{reverse('admin:accounts_usageentry_changelist')}?run_id__exact={row.pk}", gettext("Show"))

    @admin.display(description=_("Cost, tokens in → out"))
    def cost_and_tokens(self, row: Run) -> SafeString | str:
        cost = money(row.cost)
        if row.input_tokens is None and row.output_tokens is None:
            return cost
        tokens = from_to(number(row.input_tokens or 0), number(row.output_tokens or 0), "\u202f")
        return format_html('<span class="staff-pair">{}<small>{}</small></span>', cost, tokens)

    @admin.display(description=_("First token → total"))
    def times(self, row: Run) -> SafeString | str:
        if row.queued_ms is None and row.first_token_ms is None and row.total_ms is None:
            return NOTHING
        return format_html(
            '<span class="staff-pair">{}<small>{}</small></span>',
            from_to(milliseconds(row.first_token_ms), milliseconds(row.total_ms)),
            gettext("queued %(time)s") % {"time": milliseconds(row.queued_ms)},
        )  # fmt: skip

    @admin.display(description=_("Question"))
    def prompt_link(self, row: Run) -> SafeString | str:
        return page_link("message", row.prompt_id)

    @admin.display(description=_("Sent to the model"))
    def sent_parameters(self, row: Run) -> str:
        return describe_parameters(row.parameters.get("sent", {})) or "–"

    @admin.display(description=_("Omitted because the model does not accept it"))
    def dropped_parameters(self, row: Run) -> str:
        return ", ".join(str(PARAMETER_NAMES.get(name, name)) for name in row.parameters.get("dropped", [])) or "–"

    @admin.display(description=_("Set for this answer only"))
    def asked_parameters(self, row: Run) -> str:
        asked = {**row.parameters.get("asked", {}), **({"effort": row.effort} if row.effort else {})}
        return describe_parameters(asked) or "–"

    @admin.display(description=_("System prompt"))
    def prompt_size(self, row: Run) -> str:
        """How long it was; the text is on the conversation's page, and a user's own instructions on none."""
        if "system_chars" not in row.parameters:
            return "–"
        own = row.parameters.get("instructions_chars")
        sizes = {"count": number(row.parameters["system_chars"]), "own": number(own or 0)}
        if own:
            return gettext("%(count)s characters, %(own)s of them the user’s own instructions") % sizes
        return gettext("%(count)s characters") % sizes

    @admin.display(description=_("Thought for"))
    def thought_for(self, row: Run) -> str:
        return milliseconds(row.reasoning_ms) if row.reasoning_chars else "–"

    @admin.display(description=pgettext_lazy("thoughts of an answer", "Thinking"))
    def reasoning_link(self, row: Run) -> SafeString | str:
        """On the answer's page, which shows texts to those who may read them and records it."""
        return page_link("message", row.message_id) if row.reasoning_chars else "–"

    @admin.display(description=_("Answer"))
    def message_link(self, row: Run) -> SafeString | str:
        return page_link("message", row.message_id)

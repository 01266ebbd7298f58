"""The page of tools in the admin: the switch that stops all of them, and their calls, failures and times."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.charts import Column, draw
from accounts.lib.formatting import NOTHING, moment, money, number, seconds
from accounts.models import User
from accounts.staff.notices import register_notices
from chat.admin.periods import choose_period
from chat.admin.tool_calls import exact_seconds
from chat.dashboard.panels import TOO_SLOW, Panel, Tile
from chat.dashboard.tool_figures import ToolFigures, ToolNow, read_tool_figures
from chat.models import ToolSwitch
from chat.runs.tool_switch import switch_tools

PERMISSION: Final = "chat.view_toolcall"
SWITCH: Final = "chat.change_toolswitch"
PERIODS: Final = {"1": _("24 hours"), "7": _("7 days"), "30": _("30 days")}
SERIES: Final = 5


class ReasonForm(forms.Form):
    """Why all tools are stopped."""

    reason = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget,
        help_text=_("Shown to users after “Tools are switched off for now.”"),
    )  # fmt: skip


@require_safe
def show_tools(request: HttpRequest) -> HttpResponseBase:
    """Query: `days`, one of `PERIODS`."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    days, spans = choose_period(request, PERIODS, 7, reverse("admin:tools"))
    figures = read_tool_figures(days)
    context = {
        **admin.site.each_context(request),
        "title": gettext("Tools"),
        "spans": spans,
        "tiles": _tiles(figures.now),
        "panels": [_day_panel(figures, days)],
        "table": _table(figures),
        "switch": ToolSwitch.objects.select_related("changed_by").filter(pk=1).first(),
        "may_switch": request.user.has_perm(SWITCH),
    }
    return TemplateResponse(request, "admin/chat/tools/figures.html", context)


def stop_tools(request: HttpRequest) -> HttpResponseBase:
    """GET asks for a reason and whether it is meant; POST stops all tools. No call begins from then on."""
    if not request.user.has_perm(SWITCH):
        raise PermissionDenied
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        context = {**admin.site.each_context(request), "title": gettext("Stop all tools"), "form": form}
        return TemplateResponse(request, "admin/chat/tools/stop.html", context)
    reason = form.cleaned_data["reason"]
    audit.record(request, "stop_tools", ToolSwitch, details=reason)
    switch_tools(True, reason, user_of(request))
    messages.success(request, gettext("All tools are stopped. Calls in progress will finish."))
    return redirect("admin:tools")


def start_tools(request: HttpRequest) -> HttpResponseBase:
    """POST: calls may begin again."""
    if not request.user.has_perm(SWITCH) or request.method != "POST":
        raise PermissionDenied
    audit.record(request, "start_tools", ToolSwitch)
    switch_tools(False, "", user_of(request))
    messages.success(request, gettext("Tools are enabled again."))
    return redirect("admin:tools")


def stopped_notice(viewer: User) -> list[tuple[str, str, str]]:
    """A notice on the admin's first page while all tools are stopped."""
    if not viewer.has_perm(PERMISSION):
        return []
    row = ToolSwitch.objects.filter(pk=1, stopped=True).first()
    if row is None:
        return []
    said = gettext("All tools are stopped (since %(time)s).") % {"time": moment(row.changed_at)}
    return [(f"{said} {row.reason}".strip(), gettext("Show"), reverse("admin:tools"))]


def _tiles(now: ToolNow | None) -> list[Tile]:
    calls = reverse("admin:chat_toolcall_changelist")
    if now is None:
        return [Tile(gettext("Calls"), None, str(TOO_SLOW))]
    oldest = (timezone.now() - now.oldest_wait).total_seconds() if now.oldest_wait else None
    return [
        Tile(gettext("In progress"), number(now.running), "", f"{calls}?status__exact=running"),
        Tile(gettext("Awaiting approval"), number(now.waiting), "", f"{calls}?status__exact=waiting"),
        Tile(gettext("Longest wait"), NOTHING if oldest is None else seconds(oldest)),
        Tile(gettext("Unknown outcome"), number(now.unknown),
             gettext("last 24 hours: the worker stopped during the call"),
             f"{calls}?status__exact=unknown", "bad" if now.unknown else ""),
    ]  # fmt: skip


def _day_panel(figures: ToolFigures, days: int) -> Panel:
    """Calls per day, stacked by the tools that have most."""
    title = gettext("Calls per day")
    if figures.days is None:
        return Panel("calls", title, wrong=str(TOO_SLOW))
    today = datetime.now(UTC).date()
    steps = [today - timedelta(days=ago) for ago in range(days, -1, -1)]
    totals: Counter[str] = Counter()
    counts: Counter[tuple[Any, str]] = Counter()
    for day, server, name, count in figures.days:
        totals[_tool(server, name)] += count
        counts[day, _tool(server, name)] += count
    ranked = [name for name, _ in totals.most_common()]
    series = [[name] for name in ranked[:SERIES]] + ([ranked[SERIES:]] if ranked[SERIES:] else [])
    legend = ranked[:SERIES] + ([gettext("other tools")] if ranked[SERIES:] else [])
    columns, rows = [], []
    for day in steps:
        parts = [sum(counts[day, name] for name in names) for names in series]
        columns.append(Column(f"{date_format(day, 'd M')}: {number(sum(parts))}", tuple(map(float, parts))))
        rows.append([date_format(day, "d M"), *map(number, parts)])
    chart = draw(columns)
    return Panel(
        "calls", title, chart=chart, most=number(chart.most),
        span=(date_format(steps[0], "d M"), gettext("now")), legend=legend,
        head=[gettext("Day (UTC)"), *legend], rows=rows,
    )  # fmt: skip


def _table(figures: ToolFigures) -> dict[str, Any]:
    """The calls of each tool; `wrong` says why there are none."""
    if figures.tools is None:
        return {"wrong": str(TOO_SLOW)}
    return {
        "head": [
            gettext("Tool"), gettext("Calls"), gettext("Done"), gettext("Failed"), gettext("Unknown"),
            gettext("Denied"), gettext("Median time"), gettext("95th percentile"), gettext("Cost"),
        ],
        "rows": [
            (
                f"{reverse('admin:chat_toolcall_changelist')}?{urlencode({'tool': _tool(server, name)})}",
                _tool(server, name), number(calls), number(done), _share(failed, calls), number(unknown),
                number(denied), NOTHING if median is None else exact_seconds(float(median)),
                NOTHING if slow is None else exact_seconds(float(slow)), NOTHING if cost is None else money(cost),
            )
            for server, name, calls, done, failed, unknown, denied, median, slow, cost in figures.tools
        ],
    }  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{number(part)} ({100 * part / whole:.0f} %)" if part else "0"


def _tool(server: str, name: str) -> str:
    return f"{server}/{name}" if server else name


register_notices(stopped_notice)
for route, view, page in (
    ("tools/", show_tools, "tools"), ("tools/stop/", stop_tools, "tools_stop"),
    ("tools/start/", start_tools, "tools_start"),
):  # fmt: skip
    admin.site.add_page(route, view, page)  # type: ignore[attr-defined]  # it is a StaffSite

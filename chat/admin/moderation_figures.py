"""The page of moderation figures in the admin, in the style of the dashboard."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.lib.charts import Column, draw
from accounts.lib.formatting import NOTHING, number, seconds
from chat.admin.periods import choose_period
from chat.dashboard.panels import TOO_SLOW, Panel, Tile
from chat.models.moderation import Category
from chat.review.figures import MOST_WAITING, Figures, read_figures

PERMISSION: Final = "chat.view_moderationcase"
PERIODS: Final = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days")}
SERIES: Final = 5
SLOW_SECONDS: Final = 24 * 3600  # a case that waits longer is shown in red


@require_safe
def show_figures(request: HttpRequest) -> HttpResponseBase:
    """Query: `days`, one of `PERIODS`."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    days, spans = choose_period(request, PERIODS, 30, reverse("admin:moderation"))
    figures = read_figures(days)
    context = {
        **admin.site.each_context(request),
        "title": gettext("Moderation"),
        "spans": spans,
        "tiles": tiles(figures),
        "panels": [day_panel(figures, days)],
        "tables": tables(figures),
    }
    return TemplateResponse(request, "admin/chat/moderation/figures.html", context)


def _unjudged(figures: Figures) -> list[Tile]:
    """Texts that wait because a judge was away; nothing while there are none."""
    count, since = figures.unjudged or (0, None)
    if since is None:
        return []
    waited = gettext("oldest has waited %(time)s") % {"time": seconds((timezone.now() - since).total_seconds())}
    judges = reverse("admin:workers_judge_changelist")
    return [Tile(gettext("Texts waiting for a judge"), _at_most(count), waited, judges)]


def _at_most(count: int) -> str:
    """The count, which stops at `MOST_WAITING`."""
    shown = number(count)
    return gettext("%(count)s or more") % {"count": shown} if count >= MOST_WAITING else shown


def tiles(figures: Figures) -> list[Tile]:
    """What waits now."""
    queue = reverse("admin:chat_moderationcase_changelist")
    found = figures.waiting
    if found is None:
        return [Tile(gettext("Waiting"), None, str(TOO_SLOW))]
    appeals = ngettext("%(count)s appeal", "%(count)s appeals", found.appealed)
    oldest = (timezone.now() - found.oldest).total_seconds() if found.oldest else None
    return [
        Tile(gettext("Waiting"), _at_most(found.count), appeals % {"count": number(found.appealed)}, queue),
        Tile(gettext("Oldest case"), NOTHING if oldest is None else seconds(oldest), "", queue,
             "bad" if oldest and oldest > SLOW_SECONDS else ""),
        *_unjudged(figures),
        Tile(gettext("Median wait"), NOTHING if found.median is None else seconds(found.median)),
        Tile(gettext("Stale claims"), number(found.stale), gettext("older than 30 minutes"), f"{queue}?status=claimed",
             "bad" if found.stale else ""),
    ]  # fmt: skip


def day_panel(figures: Figures, days: int) -> Panel:
    """Cases per day, stacked by the categories that have most."""
    title = gettext("Cases per day")
    if figures.days is None:
        return Panel("cases", title, wrong=str(TOO_SLOW))
    today = datetime.now(UTC).date()
    steps = [today - timedelta(days=ago) for ago in range(days - 1, -1, -1)]
    totals: Counter[str] = Counter()
    counts: Counter[tuple[Any, str]] = Counter()
    for day, category, count in figures.days:
        totals[category] += count
        counts[day, category] += count
    ranked = [name for name, _ in totals.most_common()]
    series = [[name] for name in ranked[:SERIES]] + ([ranked[SERIES:]] if ranked[SERIES:] else [])
    legend = [_category(name) for name in ranked[:SERIES]] + ([gettext("other categories")] if ranked[SERIES:] else [])
    columns, rows = [], []
    for day in steps:
        parts = [sum(counts[day, name] for name in names) for names in series]
        columns.append(Column(f"{date_format(day, 'd M')}: {number(sum(parts))}", tuple(map(float, parts))))
        rows.append([date_format(day, "d M"), *map(number, parts)])
    chart = draw(columns)
    return Panel(
        "cases", title, chart=chart, most=number(chart.most),
        span=(date_format(steps[0], "d M"), gettext("now")), legend=legend,
        head=[gettext("Day (UTC)"), *legend], rows=rows,
    )  # fmt: skip


def tables(figures: Figures) -> list[dict[str, Any]]:
    """The tables below the chart: title, head, rows; `wrong` says why there are none."""
    cases, decided = gettext("Cases"), gettext("Decided")
    rule_head = [gettext("Rule or judge"), cases, decided, gettext("Upheld")]
    reviewer_head = [gettext("Reviewer"), decided, gettext("Median"), gettext("Claimed"), gettext("Stale")]
    return [
        _table("by-rule", gettext("By rule"), rule_head, figures.rules, lambda row: [
            row[0], number(row[1]), number(row[2]), f"{100 * row[3] / row[2]:.0f}\u202f%" if row[2] else NOTHING]),
        _table("by-category", gettext("By category"), [gettext("Category"), cases], figures.categories, lambda row: [
            _category(row[0]), number(row[1])]),
        _table("by-group", gettext("By group"), [gettext("Group of the user"), cases], figures.groups, lambda row: [
            row[0] or gettext("no group"), number(row[1])]),
        _table("by-reviewer", gettext("By reviewer"), reviewer_head, figures.reviewers, lambda row: [
            row[0], number(row[1]), NOTHING if row[2] is None else seconds(float(row[2])), number(row[3]),
            number(row[4])]),
    ]  # fmt: skip


def _table(key: str, title: str, head: list[str], rows: Any, show: Any) -> dict[str, Any]:
    if rows is None:
        return {"key": key, "title": title, "wrong": str(TOO_SLOW)}
    return {"key": key, "title": title, "head": head, "rows": [show(row) for row in rows]}


def _category(value: str) -> str:
    return str(Category(value).label) if value in Category.values else value


admin.site.add_page("moderation/", show_figures, "moderation")  # type: ignore[attr-defined]  # it is a StaffSite

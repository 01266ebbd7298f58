"""The admin's first page for those who may see it: who is here, what is broken, who used what.

What is asked is kept for a few seconds in this process, so a page that refreshes itself in many tabs costs one look.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.lib.charts import Chart, Column, draw, share
from accounts.lib.formatting import NOTHING, milliseconds, moment, money, number, seconds
from chat.dashboard import figures
from chat.dashboard.figures import (
    DAY,
    PERIODS,
    Around,
    Now,
    ChartPeriod,
    Runs,
    Usage,
    look_around,
    look_now,
    runs_of,
    usage_of,
)

PERMISSION: Final = "accounts.view_dashboard"
KEEP_NOW: Final = 3.0  # seconds
KEEP_PERIOD: Final = {"1h": 5.0, "24h": 10.0, "7d": 30.0, "30d": 60.0}
SERIES: Final = 5  # models with a colour of their own; the rest is one
T = TypeVar("T")


class Kept:
    """Answers, each for some seconds; whoever asks meanwhile waits for the one who is asking."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._found: dict[str, tuple[float, Any]] = {}

    def get(self, key: str, keep: float, ask: Callable[[], T]) -> T:
        with self._locks[key]:
            until, found = self._found.get(key, (0.0, None))
            if time.monotonic() >= until:
                found = ask()
                self._found[key] = (time.monotonic() + keep, found)
            return found  # type: ignore[no-any-return]  # what `ask` of this key gave

    def forget(self) -> None:
        self._found.clear()


kept: Final = Kept()


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `value` is None where it cannot be known; `note` then says why."""

    title: str
    value: str | None
    note: str = ""
    href: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing, its numbers as a table, and what each colour means. `wrong` says why there is none."""

    key: str
    title: str
    note: str = ""
    wrong: str = ""
    chart: Chart | None = None
    most: str = ""
    span: tuple[str, str] = ("", "")
    legend: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


REDIS_AWAY: Final = "not known: Redis does not answer"
TOO_LONG: Final = "Not known: it took too long. Choose a shorter period."


class Links:
    """Addresses of the lists behind the figures, for those who may see them; else empty."""

    def __init__(self, request: HttpRequest) -> None:
        self._may = request.user.has_perm

    def list(self, app: str, model: str, /, **query: str) -> str:
        if not self._may(f"{app}.view_{model}"):
            return ""
        return reverse(f"admin:{app}_{model}_changelist") + (f"?{urlencode(query)}" if query else "")

    def page(self, app: str, model: str, id_: str | None) -> str:
        may = id_ is not None and self._may(f"{app}.view_{model}")
        return reverse(f"admin:{app}_{model}_change", args=[id_]) if may else ""

    def runs(self, since: datetime | None = None, until: datetime | None = None, **query: str) -> str:
        if since is not None:
            query["period"] = "/".join(f"{one:%Y-%m-%dT%H:%M:%SZ}" if one else "" for one in (since, until))
        return self.list("chat", "run", **query)


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For unfold's DASHBOARD_CALLBACK: adds `dashboard` for those who may see it."""
    if not request.user.has_perm(PERMISSION):
        return context
    period = PERIODS.get(request.GET.get("period", ""), PERIODS["1h"])
    now = kept.get("now", KEEP_NOW, look_now)
    around = kept.get("around", KEEP_NOW, look_around)
    runs = kept.get(f"runs {period.key}", KEEP_PERIOD[period.key], lambda: runs_of(period))
    usage = kept.get(f"usage {period.key}", KEEP_PERIOD[period.key], lambda: usage_of(period))
    links = Links(request)
    alone = request.headers.get("X-Requested-With") == "fetch"  # chat/js/staff.js refreshes the figures
    board = {
        "base": "admin/dashboard/alone.html" if alone else "admin/index.html",
        "period": period,
        "periods": PERIODS.values(),
        "at": timezone.localtime(),
        "time_zone": settings.TIME_ZONE,
        "now": list(now_tiles(now, around, links)),
        "past": list(period_tiles(period, runs, usage, links)),
        "runs": runs_panel(period, runs, links),
        "usage": usage_panels(period, usage, links),
        "causes": causes(runs, links),
        "models": model_rows(runs, links),
        "users": user_rows(usage, links),
        "workers": worker_rows(around),
        "no_workers": REDIS_AWAY if around is None else "None is alive: nothing will be answered.",
        "wrong": TOO_LONG,
        "runs_known": runs is not None,
        "usage_known": usage is not None,
    }
    return {**context, "dashboard": board, "title": "Dashboard"}


# --- figures ---------------------------------------------------------------------------------------------------------


def now_tiles(now: Now, around: Around | None, links: Links) -> Iterable[Tile]:
    people = links.list("accounts", "user", online="yes")
    if around is None:
        yield Tile("People online", None, REDIS_AWAY)
        yield Tile("Sockets", None, REDIS_AWAY)
    else:
        online = around.online
        yield Tile("People online", number(online.people), "with a page open", people)
        yield Tile("Sockets", number(online.sockets), _plural(online.processes, "web process", "es"), people)
    yield Tile("Being written", number(now.running), "answers", links.runs(status__exact="running"))
    waits = f"oldest for {seconds(now.waits)}" if now.waits is not None else "nothing waits"
    jobs = around.jobs if around else None
    note = f"{waits}, {number(jobs)} in the broker" if jobs is not None else waits
    late = now.waits is not None and now.waits > 10
    yield Tile("Queued", number(now.queued), note, links.runs(status__exact="queued"), "bad" if late else "")
    if around is None:
        yield Tile("Workers alive", None, REDIS_AWAY)
    else:
        slots = sum(heart.slots for heart in around.workers)
        busy = f"{number(sum(heart.runs for heart in around.workers))} of {number(slots)} places taken"
        alive = len(around.workers)
        yield Tile("Workers alive", number(alive), busy if alive else "nothing will be answered", "#workers",
                   "" if alive else "bad")  # fmt: skip
    recordings = links.list("chat", "recording", status__exact="listening")
    yield Tile("Recordings", number(now.recordings), "being listened to", recordings)
    yield Tile("Last minute", number(now.last_minute), "runs begun", links.runs(period="1h"))


def period_tiles(period: ChartPeriod, runs: Runs | None, usage: Usage | None, links: Links) -> Iterable[Tile]:
    if runs is None:
        for title in ("Runs", "First token", "Failed"):
            yield Tile(title, None, TOO_LONG)
    else:
        unit, name = {"1h": (60, "a minute"), "24h": (3600, "an hour")}.get(period.key, (DAY, "a day"))
        times = max((timezone.now() - runs.since).total_seconds() / unit, 1)
        every = f"{runs.count / times:.3g} {name}" if runs.count else "none"
        behind = links.runs(runs.since)
        yield Tile("Runs", number(runs.count), every, behind)
        if runs.first_token:
            half, most = runs.first_token
            slow = links.runs(runs.since, slow="yes")
            yield Tile("First token", milliseconds(half), f"p50; p95 is {milliseconds(most)}", slow)
        else:
            yield Tile("First token", NOTHING, "no answer yet")
        percent = f"{100 * runs.failed / runs.count:.1f}\u202f% of runs" if runs.count else "no runs"
        yield Tile("Failed", number(runs.failed), percent, links.runs(runs.since, error_code="any"),
                   "bad" if runs.failed > runs.count * 0.05 else "")  # fmt: skip
    if usage is None:
        yield Tile("Tokens", None, TOO_LONG)
        yield Tile("Money", None, TOO_LONG)
        return
    read = sum(one.input_tokens for one in usage.spent)
    written = sum(one.output_tokens for one in usage.spent)
    unpriced = sum(one.unpriced for one in usage.spent)
    behind = links.list("accounts", "dailyusage" if period.usage_step == DAY else "usageentry")
    yield Tile("Tokens", number(read + written), f"{number(read)} read, {number(written)} written", behind)
    cost = sum((one.cost for one in usage.spent), Decimal(0))
    note = f"{number(unpriced)} without a price" if unpriced else "all priced" if usage.spent else "nothing used"
    yield Tile("Money", money(cost), note, behind)


# --- panels ----------------------------------------------------------------------------------------------------------


def _steps(period: ChartPeriod, step: int) -> list[int]:
    first = int(period.since(timezone.now(), step).timestamp())
    return [first + place * step for place in range(period.count * period.step // step)]


def _name(step: int, seconds_: int) -> str:
    at = datetime.fromtimestamp(step, UTC)
    return f"{at:%d %b}" if seconds_ == DAY else moment(at)


def runs_panel(period: ChartPeriod, runs: Runs | None, links: Links) -> Panel:
    if runs is None:
        return Panel("runs", "Runs", wrong=TOO_LONG)
    steps = _steps(period, period.step)
    columns, rows = [], []
    for step in steps:
        begun, failed = runs.steps.get(step, (0, 0))
        since, until = (datetime.fromtimestamp(one, UTC) for one in (step, step + period.step))
        title = f"{_name(step, period.step)}: {_plural(begun, 'run')}, {failed} failed"
        columns.append(Column(title, (begun - failed, failed), links.runs(since, until)))
        rows.append([_name(step, period.step), number(begun), number(failed)])
    chart = draw(columns)
    return Panel(
        "runs", "Runs", _partial(runs.whole, runs.since), chart=chart, most=number(chart.most),
        span=(_name(steps[0], period.step), "now"), legend=["answered or under way", "failed or interrupted"],
        head=["From", "Runs", "Failed"], rows=rows,
    )  # fmt: skip


def usage_panels(period: ChartPeriod, usage: Usage | None, links: Links) -> list[Panel]:
    """Tokens and money, each in steps and by model."""
    if usage is None:
        return [Panel("tokens", "Tokens", wrong=TOO_LONG), Panel("money", "Money", wrong=TOO_LONG)]
    steps = _steps(period, period.usage_step)
    tokens: defaultdict[tuple[int, str], int] = defaultdict(int)
    costs: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    sums: defaultdict[str, int] = defaultdict(int)
    for one in usage.spent:
        used = one.input_tokens + one.output_tokens
        tokens[one.step, one.model] += used
        costs[one.step, one.model] += one.cost
        sums[one.model] += used
    models = sorted(sums, key=lambda model: -sums[model])
    named, others = models[:SERIES], models[SERIES:]
    legend = [model or NOTHING for model in named] + (["others"] if others else [])
    panels = []
    shown: tuple[tuple[str, str, Any, Any, Any], ...] = (
        ("tokens", "Tokens", number, tokens, 0),
        ("money", f"Money ({settings.CURRENCY})", money, costs, Decimal(0)),
    )
    for key, title, show, values, zero in shown:
        columns, rows = [], []
        for step in steps:
            parts = [values.get((step, model), zero) for model in named]
            if others:
                parts.append(sum((values.get((step, model), zero) for model in others), zero))
            name = _name(step, period.usage_step)
            day = {"day__exact": f"{datetime.fromtimestamp(step, UTC):%Y-%m-%d}"}
            href = links.list("accounts", "dailyusage", **day) if period.usage_step == DAY else ""
            columns.append(Column(f"{name}: {show(sum(parts, zero))}", tuple(map(float, parts)), href))
            rows.append([name, *(show(part) for part in parts)])
        chart = draw(columns)
        most = show(type(zero)(chart.most))
        panels.append(Panel(
            key, title, _partial(usage.whole, usage.since), chart=chart, most=most, legend=legend,
            span=(_name(steps[0], period.usage_step), "now"), head=["Day (UTC)" if period.usage_step == DAY else "From",
            *legend], rows=rows,
        ))  # fmt: skip
    return panels


def _partial(whole: bool, since: datetime) -> str:
    return "" if whole else f"The newest {number(figures.NEWEST)} only, from {moment(since)} on."


def causes(runs: Runs | None, links: Links) -> list[dict[str, Any]]:
    """Failures by error code, the most frequent first."""
    if runs is None:
        return []
    most = max((count for _, count in runs.causes), default=0)
    return [
        {"code": code or "no code", "count": number(count), "percent": share(count, most),
         "href": links.runs(runs.since, error_code=code) if code else ""}
        for code, count in runs.causes
    ]  # fmt: skip


def model_rows(runs: Runs | None, links: Links) -> list[dict[str, Any]]:
    return [
        {"model": one.model, "runs": number(one.runs), "failed": number(one.failed),
         "p50": milliseconds(one.first_p50), "p95": milliseconds(one.first_p95),
         "href": links.runs(runs.since, model=one.model)}
        for one in runs.models
    ] if runs else []  # fmt: skip


def user_rows(usage: Usage | None, links: Links) -> list[dict[str, Any]]:
    return [
        {"name": one.email or ("erased" if one.id else "nobody"), "messages": number(one.messages),
         "tokens": number(one.input_tokens + one.output_tokens), "cost": money(one.cost),
         "href": links.page("accounts", "user", one.id) if one.email else "",
         "runs": links.runs(usage.since, requested_by__exact=one.id) if one.email and one.id else ""}
        for one in usage.users
    ] if usage else []  # fmt: skip


def worker_rows(around: Around | None) -> list[dict[str, Any]]:
    return [
        {"name": f"{heart.host}, process {heart.pid}", "runs": number(heart.runs), "slots": number(heart.slots),
         "percent": share(heart.runs, heart.slots), "state": "ending" if heart.draining else "at work",
         "since": seconds(max(time.time() - heart.since, 0))}
        for heart in (around.workers if around else [])
    ]  # fmt: skip


def _plural(count: int, one: str, ending: str = "s") -> str:
    return f"{number(count)} {one}{'' if count == 1 else ending}"

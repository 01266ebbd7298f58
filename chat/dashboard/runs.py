"""Runs of a period: how many, how fast, how many failed and why. One statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from accounts.lib.charts import Column, draw, share
from accounts.lib.formatting import NOTHING, milliseconds, number
from chat.dashboard import queries
from chat.dashboard.links import Links
from chat.dashboard.panels import TOO_SLOW, Panel, Tile, partial_note
from chat.dashboard.period import DAY, ChartPeriod, step_label

ALARMING: Final = 0.05  # the tile of failures turns red above this share of runs

_RUNS: Final = """
WITH newest AS MATERIALIZED (
    SELECT created_at, status, error_code, model, queued_ms, first_token_ms FROM chat_run
    WHERE created_at >= %(since)s AND NOT (finished_at IS NOT NULL AND attempt = 0) -- those of imports and copies
    ORDER BY created_at DESC LIMIT %(max_rows)s
)
SELECT (SELECT count(*) FROM newest), (SELECT min(created_at) FROM newest),
    (SELECT json_object_agg(status, n) FROM (SELECT status, count(*) AS n FROM newest GROUP BY 1) s),
    (SELECT json_agg(json_build_array(step, n, failed)) FROM (
        SELECT EXTRACT(EPOCH FROM begin) AS step, count(*) AS n,
            count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed
        FROM (SELECT date_bin(make_interval(secs => %(step)s), created_at, TIMESTAMPTZ 'epoch') AS begin, status
              FROM newest) binned GROUP BY begin) b),
    (SELECT json_agg(json_build_array(error_code, n)) FROM (
        SELECT error_code, count(*) AS n FROM newest WHERE status IN ('failed', 'interrupted')
        GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(top)s) c),
    (SELECT json_agg(json_build_array(model, n, failed, half, most)) FROM (
        SELECT model, count(*) AS n, count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY first_token_ms) AS half,
            percentile_disc(0.95) WITHIN GROUP (ORDER BY first_token_ms) AS most
        FROM newest GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(top)s) m),
    (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first_token_ms) FROM newest),
    (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY queued_ms) FROM newest)
"""


@dataclass(frozen=True, slots=True)
class ModelRuns:
    """Runs of one model. Times to the first token are in milliseconds, None when no answer began."""

    model: str
    runs: int
    failed: int
    first_p50: int | None
    first_p95: int | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs started since `since`. Times in milliseconds; percentiles are (p50, p95), None when there are none.

    `steps`: (started, failed or interrupted) by the second since 1970 at which a step begins. Unless `complete`, only
    the newest runs were read, and `since` is the oldest of them.
    """

    since: datetime
    complete: bool
    count: int
    statuses: dict[str, int]
    steps: dict[int, tuple[int, int]]
    causes: list[tuple[str, int]]
    models: list[ModelRuns]
    first_token: tuple[int, int] | None
    queued: tuple[int, int] | None

    @property
    def failed(self) -> int:
        return self.statuses.get("failed", 0) + self.statuses.get("interrupted", 0)


def read_runs(period: ChartPeriod, now: datetime | None = None) -> Runs | None:
    """None when the query took too long."""
    since = period.since(now or timezone.now())
    values = {"since": since, "max_rows": queries.MAX_ROWS, "step": period.step, "top": queries.TOP}
    rows = queries.read_rows(_RUNS, values)
    if rows is None:
        return None
    [(count, oldest, statuses, steps, causes, models, first_token, queued)] = rows
    complete = count < queries.MAX_ROWS
    return Runs(
        since=since if complete else oldest,
        complete=complete,
        count=count,
        statuses=statuses or {},
        steps={int(step): (n, failed) for step, n, failed in steps or []},
        causes=[(code, n) for code, n in causes or []],
        models=[ModelRuns(*one) for one in models or []],
        first_token=_pair(first_token),
        queued=_pair(queued),
    )


def _pair(found: list[int] | None) -> tuple[int, int] | None:
    return None if not found or found[0] is None else (found[0], found[1])


def run_tiles(period: ChartPeriod, runs: Runs | None, links: Links) -> Iterable[Tile]:
    if runs is None:
        for title in (gettext("Runs"), gettext("Time to first token"), gettext("Failed runs")):
            yield Tile(title, None, str(TOO_SLOW))
        return
    unit, per = {"1h": (60, gettext("%(count)s per minute")), "24h": (3600, gettext("%(count)s per hour"))}.get(
        period.key, (DAY, gettext("%(count)s per day"))
    )
    units = max((timezone.now() - runs.since).total_seconds() / unit, 1)
    rate = per % {"count": _rate(runs.count / units)} if runs.count else gettext("none")
    yield Tile(gettext("Runs"), number(runs.count), rate, links.runs(runs.since))
    if runs.first_token:
        p50, p95 = runs.first_token
        slow = links.runs(runs.since, slow="yes")
        note = gettext("median; 95th percentile %(time)s") % {"time": milliseconds(p95)}
        yield Tile(gettext("Time to first token"), milliseconds(p50), note, slow)
    else:
        yield Tile(gettext("Time to first token"), NOTHING, gettext("no answers yet"))
    if runs.count:
        percent = gettext("%(percent)s\u202f%% of runs") % {"percent": f"{100 * runs.failed / runs.count:.1f}"}
    else:
        percent = gettext("no runs")
    tone = "bad" if runs.failed > runs.count * ALARMING else ""
    yield Tile(gettext("Failed runs"), number(runs.failed), percent, links.runs(runs.since, error_code="any"), tone)


def _rate(value: float) -> str:
    """With three digits where it is small, else as whole numbers are."""
    return number(value) if value >= 100 else f"{value:.3g}"


def runs_panel(period: ChartPeriod, runs: Runs | None, links: Links) -> Panel:
    """The chart of runs, with the failed ones in a colour of their own."""
    if runs is None:
        return Panel("runs", gettext("Runs"), wrong=str(TOO_SLOW))
    steps = period.steps(period.step)
    columns, rows, hrefs = [], [], []
    for step in steps:
        started, failed = runs.steps.get(step, (0, 0))
        since, until = (datetime.fromtimestamp(one, UTC) for one in (step, step + period.step))
        label = step_label(step, period.step)
        title = ngettext(
            "%(step)s: %(count)d run, %(failed)d failed", "%(step)s: %(count)d runs, %(failed)d failed", started
        )
        columns.append(
            Column(
                title % {"step": label, "count": started, "failed": failed},
                (started - failed, failed),
                links.runs(since, until),
            )
        )
        rows.append([label, number(started), number(failed)])
        hrefs.append(links.runs(since, until))
    chart = draw(columns)
    return Panel(
        "runs", gettext("Runs"), partial_note(runs.complete, runs.since), chart=chart, most=number(chart.most),
        span=(step_label(steps[0], period.step), gettext("now")),
        legend=[gettext("completed or in progress"), gettext("failed or interrupted")],
        head=[gettext("From"), gettext("Runs"), gettext("Failed")], rows=rows, hrefs=hrefs,
    )  # fmt: skip


def failure_rows(runs: Runs | None, links: Links) -> list[dict[str, Any]]:
    """Failures by error code, the most frequent first."""
    if runs is None:
        return []
    most = max((count for _, count in runs.causes), default=0)
    return [
        {"code": code or gettext("no error code"), "count": number(count), "percent": share(count, most),
         "href": links.runs(runs.since, error_code=code) if code else ""}
        for code, count in runs.causes
    ]  # fmt: skip


def model_rows(runs: Runs | None, links: Links) -> list[dict[str, Any]]:
    """Runs, failures and time to the first token by model, the most used first."""
    return [
        {"model": one.model, "runs": number(one.runs), "failed": number(one.failed),
         "p50": milliseconds(one.first_p50), "p95": milliseconds(one.first_p95),
         "href": links.runs(runs.since, model=one.model)}
        for one in runs.models
    ] if runs else []  # fmt: skip

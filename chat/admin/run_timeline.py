"""The timeline of one run: its steps, and where its time went, from its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext

from accounts.lib.charts import share
from accounts.lib.formatting import milliseconds, seconds
from chat.models import ACTIVE, Run
from chat.runs.claims import MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Step:
    """`after`: the time since the run was created, for reading."""

    title: str
    at: datetime
    after: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class TimelineSegment:
    """A part of the bar. `kind` is waiting, thinking or writing: its colour."""

    kind: str
    title: str
    length: str
    percent: float


@dataclass(frozen=True, slots=True)
class Timeline:
    steps: list[Step]
    segments: list[TimelineSegment]
    total: str


def timeline_of(run: Run, now: datetime | None = None) -> Timeline:
    """The timeline as far as it is known. A run whose worker was lost has no first token: only the worker knew it."""
    now = now or timezone.now()
    total = _total(run, now)
    return Timeline(_steps(run), _segments(run, total), milliseconds(total))


def _total(run: Run, now: datetime) -> int:
    if run.status not in ACTIVE and run.total_ms is not None:
        return run.total_ms
    return max(int(((run.finished_at or now) - run.created_at).total_seconds() * 1000), 0)


def _steps(run: Run) -> list[Step]:
    attempts = gettext("attempt %(number)d of %(most)d") % {"number": run.attempt, "most": MAX_ATTEMPTS}
    found: list[tuple[str, datetime | None, str]] = [
        (gettext("Created"), run.created_at, _created_note(run)),
        (gettext("Job published"), run.enqueued_at, gettext("most recently") if run.attempt > 1 else ""),
        (gettext("Claimed by a worker"), run.started_at, " · ".join(filter(None, (attempts, run.lease_owner)))),
        (gettext("Thinking started"), _later(run, run.first_reasoning_ms), ""),
        (gettext("First token"), _later(run, run.first_token_ms), run.endpoint),
        (gettext("Stop requested"), run.stop_requested_at, ""),
        (gettext("Finished"), run.finished_at, run.get_status_display()),
    ]
    if run.finished_at is not None and not run.ended_in_log:
        found.append(
            (gettext("Not in the event log yet"), run.finished_at, gettext("the closing event is not published yet"))
        )
    known = [(title, at, note) for title, at, note in found if at is not None]
    known.sort(key=lambda step: step[1])  # stable: simultaneous steps stay in this order
    return [Step(title, at, f"+{_after(run, at)}", note) for title, at, note in known]


def _created_note(run: Run) -> str:
    if run.waiting_for:
        said = gettext("message, answer and run committed; waiting for %(cause)s")
        return said % {"cause": run.get_waiting_for_display()}
    return gettext("message, answer and run committed")


def _later(run: Run, after_ms: int | None) -> datetime | None:
    return None if after_ms is None else run.created_at + timedelta(milliseconds=after_ms)


def _after(run: Run, at: datetime) -> str:
    passed = (at - run.created_at).total_seconds()
    return milliseconds(max(round(passed * 1000), 0)) if passed < 60 else seconds(passed)


def _segments(run: Run, total: int) -> list[TimelineSegment]:
    """Waiting for a worker, then for the model, then generating; the last segment ends with the run, or now."""
    marks = (
        (
            "waiting",
            gettext("Waiting for %(cause)s") % {"cause": run.get_waiting_for_display() or gettext("a worker")},
            run.queued_ms,
        ),
        ("thinking", gettext("Waiting for the model's first token"), run.first_token_ms),
        ("writing", gettext("Generating"), total),
    )
    found, begin = [], 0
    for kind, title, end in marks:
        reached = total if end is None else min(end, total)
        if reached > begin or end is not None:
            length = max(reached - begin, 0)
            found.append(TimelineSegment(kind, title, milliseconds(length), share(length, total)))
        begin = max(begin, reached)
        if end is None:
            break
    return found

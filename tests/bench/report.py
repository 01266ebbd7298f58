"""What a run found, for the terminal, for machines (JSON) and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench.admission import AdmissionRow
from tests.bench.crowds import FanOutRow, IdleRow, StormRow
from tests.bench.moderation import RulesRow, SearchRow
from tests.bench.streams import Hops, StreamsRow
from tests.bench.tables import (
    NAMES,
    Table,
    admission_table,
    cpu_table,
    fan_out_table,
    first_table,
    idle_table,
    ratios_table,
    rules_table,
    search_table,
    storm_table,
    streams_table,
)
from tests.bench.tools import ToolsRow, tools_table


class Report(msgspec.Struct):
    """Everything of one run. Sections that were not run are empty."""

    date: str
    commit: str
    machine: dict[str, str | int | float]
    web: int
    workers: int
    quick: bool
    streams: list[StreamsRow] = []
    first: list[Hops] = []
    admission: list[AdmissionRow] = []
    idle: list[IdleRow] = []
    fan_out: list[FanOutRow] = []
    storm: list[StormRow] = []
    rules: list[RulesRow] = []
    search: list[SearchRow] = []
    tools: list[ToolsRow] = []
    notes: list[str] = []
    seconds: float = 0.0


def tables(report: Report) -> list[tuple[str, Table]]:
    """All that was measured, in reading order, with headings."""
    found: list[tuple[str, Table]] = []
    if report.streams:
        found.append(("Streams × 20 tokens/s", streams_table(report.streams)))
        ratios = ratios_table(report.streams)
        if ratios[1]:
            found.append(("Times better than the FastAPI endpoint in the same run", ratios))
        found.append(("Where the CPU goes: µs per delivered token, and memory", cpu_table(report.streams)))
    if report.first:
        found.append(("First token, idle, one at a time", first_table(report.first)))
    if report.tools:
        found.append(("Tools: what offering and calling them costs", tools_table(report.tools)))
    if report.rules:
        found.append(("Moderation of answers: no rule, and 1,000 words, 50 patterns and all personal data",
                      rules_table(report.rules)))  # fmt: skip
    if report.search:
        found.append(("Moderation of one text by these rules", search_table(report.search)))
    if report.admission:
        found.append(("Admission: rates, quotas and the insert", admission_table(report.admission)))
    if report.idle:
        found.append(("Idle sockets", idle_table(report.idle)))
    if report.fan_out:
        found.append(("Fan-out: one stream, many watchers", fan_out_table(report.fan_out)))
    if report.storm:
        found.append(("Reconnect storm: all sockets cut at once, mid-stream", storm_table(report.storm)))
    return found


def render_terminal(report: Report) -> str:
    lines = [describe(report)]
    for heading, (head, body) in tables(report):
        widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
        lines += ["", heading]
        for row in [head, *body]:
            left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
    notes = [*report.notes, *doubts(report)]
    lines += ["", *notes] if notes else []
    return "\n".join(lines)


def render_docs(report: Report) -> str:
    """docs/performance.md."""
    measured = "Measured by `make bench`; this page is written by `python -m tests.bench --write-docs`."
    lines = ["# Performance", "", f"{measured} {describe(report)}", "", INTRODUCTION]
    for heading, (head, body) in tables(report):
        lines += ["", f"## {heading}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(row) + " |" for row in body]
    lines += ["", *_measured_apart(), "## How to read it", "", EXPLAINED]
    notes = [*report.notes, *doubts(report)]
    if notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


MEASURED_APART: Final = {  # sections that `make bench` does not measure, as they were written then
    "The account of one message": "account.md",  # by `tests.bench.account`
    "Reading a stream": "reading.md",  # by `tests.bench.reading`
    "A first visit": "first_visit.md",  # by `tests.bench.visit`
    "Voice": "voice.md",  # by `tests.bench.voice`
    "Search": "search.md",
    "The list of 5,000 conversations": "conversation_list.md",
}


def _measured_apart() -> list[str]:
    lines = []
    for heading, name in MEASURED_APART.items():
        lines += [f"## {heading}", "", Path(__file__).with_name(name).read_text().rstrip(), ""]
    return lines


EXPLAINED: Final = """\
- *Added latency*: from the upstream writing a token to the client having it, for every token; each token carries the
  time it was sent, so merged frames are counted exactly.
- *First token*: from the client's send to its first delta, less the time the upstream itself took. The baselines have
  no accounts, no database, no log and no queue (the tutorial: a queue).
- *tokens/s*: what arrived while the upstream had all streams under way. A saturated system falls behind and delivers
  later; the p50 then says how much.
- *lost*: tokens of finished answers that did not arrive exactly once, in order and undamaged, checked against the
  upstream's own record of each answer. *unfinished*: answers not complete when the run was stopped, or failed.
- *Admission*: 100 people, each in a conversation of their own, held by two quotas of their plan and by every rate, all
  counted and none refusing; from the client's send to `message.accepted`. With *one pot* all wait for one row.
- *CPU*: of all server processes with their children (web, worker, Redis, PostgreSQL), from the first send to the last
  token, per token delivered; it holds everything a message costs, not only its tokens.
- *frames*, *bytes*: per answer; bytes are all that the socket received for it.
- *Reconnect storm*: every watcher reconnects at once, without the jitter that the page has; a socket is level when it
  knows everything that a socket knows which was never cut. Queries are counted in PostgreSQL's own log."""
INTRODUCTION: Final = """\
All systems ran on the same machine, one after the other in the same run, against the same scripted upstream; upstream
and load client shared the cores with them and are not counted in the CPU. The baselines are the 25-line FastAPI
endpoint that streams through `AsyncOpenAI` in the web process (`tests/bench/baseline_fastapi.py`), and Channels with
Celery as the tutorials have it (`tests/bench/baseline_tutorial/`). Absolute times depend on the machine; the ratios are
what to look at."""


def doubts(report: Report) -> list[str]:
    """What spoils or explains a figure: failures, other work on the machine, a client or upstream that was late."""
    found = []
    for row in report.streams:
        where = f"{NAMES[row.system]}, {row.streams} streams"
        found += [f"{where}: {problem}" for problem in row.problems]
        if row.others_cores > 0.2:
            found.append(f"{where}: {row.others_cores:.1f} cores were busy with other things meanwhile")
        if row.client_lag_ms > 100:
            found.append(f"{where}: the load client itself was up to {row.client_lag_ms:.0f} ms late")
        if row.upstream_late_ms > 50:
            found.append(f"{where}: the upstream was {row.upstream_late_ms:.0f} ms behind its schedule (p99)")
        if row.gaps:
            found.append(f"{where}: {row.gaps} holes in `seq` or `index`")
    for sent in report.admission:
        if sent.others_cores > 0.2:
            found.append(f"admission, {sent.how}: {sent.others_cores:.1f} cores were busy with other things meanwhile")
        if sent.client_lag_ms > 100:
            found.append(f"admission, {sent.how}: the load client itself was up to {sent.client_lag_ms:.0f} ms late")
    found += [f"reconnect storm: some tries failed first: {row.problem}" for row in report.storm if row.problem]
    found += [
        f"{NAMES[row.system]}, first token: {row.others_cores:.1f} cores were busy with other things meanwhile"
        for row in report.first
        if row.others_cores > 0.2
    ]
    return found


def describe(report: Report) -> str:
    machine = report.machine
    return (
        f"{report.date}, commit {report.commit}: {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_gb']} GB, Linux {machine['kernel']}, Python {machine['python']}; "
        f"load before {machine['load_before']}; "
        f"{report.web} web and {report.workers} worker process{'es' if report.workers > 1 else ''}"
        f"{'; quick' if report.quick else ''}."
    )


def to_json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1)


def from_json(raw: bytes) -> Report:
    found: Any = msgspec.json.decode(raw, type=Report)
    assert isinstance(found, Report)
    return found

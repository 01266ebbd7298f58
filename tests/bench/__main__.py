"""`python -m tests.bench`: measures the project against what people would write otherwise, on this machine.

Starts everything it needs (PostgreSQL, Redis, the scripted upstream, web and worker processes, the load client and the
baselines), prints tables, keeps the figures in var/bench/, and ends everything it started.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.bench.admission import measure_admission
from tests.bench.crowds import measure_fan_out, measure_idle, measure_sse_fan_out, measure_storm, with_tabs
from tests.bench.meter import describe_machine
from tests.bench.moderation import measure_rules, measure_search
from tests.bench.profiling import Profiler
from tests.bench.report import Report, from_json, render_docs, render_terminal, to_json
from tests.bench.streams import FIRST_MODEL, measure_first_token, measure_streams, model_for
from tests.bench.systems import System, Upstream, run_fastapi, run_ours, run_tutorial
from tests.bench.tools import MODELS as TOOL_MODELS
from tests.bench.tools import measure_tools
from tests.servers import servers
from tests.stack import ROOT

SECTIONS: Final = ("first", "streams", "tools", "rules", "admission", "idle", "fanout", "storm")
FOLDER: Final = ROOT / "var" / "bench"


class Size:
    """How much is measured."""

    def __init__(self, *, quick: bool, streams: list[int] | None, watchers: list[int] | None = None) -> None:
        self.quick = quick
        self.streams = streams or ([20, 100] if quick else [20, 100, 400])
        self.steady_s = 2.0 if quick else 10.0
        self.model = model_for(1, self.steady_s)  # of the crowds
        self.models = sorted(
            {FIRST_MODEL, self.model, *TOOL_MODELS, *(model_for(count, self.steady_s) for count in self.streams)}
        )
        self.limit_s = 15.0 if quick else 60.0
        self.tutorial_limit_s = 20.0 if quick else 30.0
        self.firsts = 15 if quick else 100
        self.sends = (2, 4.0, 2) if quick else (6, 4.0, 5)  # of each of 100: how many, seconds apart, bursts
        self.idle = [150] if quick else [1000, 5000]
        self.idle_s = 1.0 if quick else 10.0
        self.members = 50 if quick else 200  # who watch, of one room
        self.watchers = watchers or ([50] if quick else [200, 1000])
        self.storm = (10, 10) if quick else (25, 20)  # rooms, followers in each
        self.people = max(500, self.members) if not quick else 120


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute's worth")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section (repeatable)")
    parser.add_argument("--systems", default="antiphon,fastapi,tutorial", help="default: all three")
    parser.add_argument("--streams", type=lambda text: [int(n) for n in text.split(",")], help="default: 20,100,400")
    parser.add_argument("--watchers", type=lambda text: [int(n) for n in text.split(",")],
                        help="of one stream, over sockets and over server-sent events (default: 200,1000)")  # fmt: skip
    parser.add_argument("--web", type=int, default=1, help="web processes (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--metrics", choices=("on", "off", "scraped"), default="on",
                        help="off: METRICS=0; scraped: each process every 5 s (default: on)")  # fmt: skip
    parser.add_argument("--profile", choices=("web", "worker"), help="py-spy on one of our processes while it streams")
    parser.add_argument("--write-docs", nargs="?", const="", metavar="JSON",
                        help="write docs/performance.md, of this run or of an earlier one's file")  # fmt: skip
    return parser.parse_args(arguments)


def main() -> None:
    options = parse(sys.argv[1:])
    if options.write_docs:
        with open(options.write_docs, "rb") as file:  # noqa: PTH123 -- any path a person gives
            write_docs(from_json(file.read()))
        return
    raise_file_limit()
    began = time.monotonic()
    report = Report(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
        machine=describe_machine(),
        web=options.web,
        workers=options.workers,
        quick=options.quick,
        notes=[f"metrics {options.metrics}"] if options.metrics != "on" else [],
    )
    upstream = Upstream()
    try:
        run(options, Size(quick=options.quick, streams=options.streams, watchers=options.watchers), upstream, report)
    finally:
        upstream.stop()
        servers.stop()
        report.seconds = time.monotonic() - began
        print(render_terminal(report))
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d-%H%M%S}.json"
        path.write_bytes(to_json(report))
        print(f"\n{path.relative_to(ROOT)}, after {report.seconds:.0f} s")
    if options.write_docs is not None:
        write_docs(report)


def run(options: argparse.Namespace, size: Size, upstream: Upstream, report: Report) -> None:
    wanted = set(options.only or SECTIONS)
    systems = options.systems.split(",")

    def attempt(what: str, measure: Callable[[], Any]) -> Any:
        """One measurement; a failure is noted, and the rest goes on."""
        print(f"… {what}", file=sys.stderr, flush=True)
        try:
            return measure()
        except Exception as error:
            report.notes.append(f"{what} failed: {type(error).__name__}: {error}")
            return None

    def both(system: System, streams: list[int], limit_s: float, profiler: Profiler | None = None) -> None:
        if "first" in wanted:
            found = attempt(f"{system.name}: first token", partial(
                measure_first_token, system, upstream, answers=size.firsts, profiler=profiler))  # fmt: skip
            report.first += [found] if found is not None else []
        if "streams" not in wanted:
            return
        for count in streams:
            model = model_for(count, size.steady_s)
            row = attempt(f"{system.name}: {count} streams", partial(
                measure_streams, system, upstream, streams=count, model=model, limit_s=limit_s,
                profiler=profiler))  # fmt: skip
            report.streams += [row] if row is not None else []

    if "antiphon" in systems:
        rooms = [f"1x{size.members + 1}", f"{size.storm[0]}x{size.storm[1] + 1}"]
        profiler = Profiler(options.profile, FOLDER) if options.profile else None
        with run_ours(
            upstream, web=options.web, workers=options.workers, people=size.people, rooms=rooms, models=size.models,
            metrics=options.metrics,
        ) as ours:  # fmt: skip
            both(ours, size.streams, size.limit_s, profiler)
            if "tools" in wanted:
                report.tools += attempt("tools", lambda: measure_tools(
                    ours, upstream, answers=size.firsts, profiler=profiler)) or []  # fmt: skip
            if "rules" in wanted:
                report.search += attempt("rules: one text", measure_search) or []
                for count in size.streams[-1:]:
                    row = attempt(f"rules: {count} streams", partial(
                        measure_rules, ours, upstream, streams=count, model=model_for(count, size.steady_s),
                        limit_s=size.limit_s, firsts=size.firsts, profiler=profiler))  # fmt: skip
                    report.rules += [row] if row is not None else []
            if "admission" in wanted:
                rounds, every_s, bursts = size.sends
                report.admission += attempt("admission", lambda: measure_admission(
                    ours, senders=100, rounds=rounds, every_s=every_s, bursts=bursts,
                    profiler=profiler)) or []  # fmt: skip
            if "idle" in wanted:
                report.idle += attempt("idle sockets", lambda: measure_idle(
                    ours, sockets=size.idle, seconds=size.idle_s)) or []  # fmt: skip
            for count in size.watchers if "fanout" in wanted else ():
                seats = with_tabs(ours.rooms[0][0], count)
                rows = (
                    attempt(f"fan-out to {count} sockets", partial(
                        measure_fan_out, ours, upstream, seats, model=size.model, limit_s=size.limit_s)),
                    attempt(f"fan-out to {count} event streams", partial(
                        measure_sse_fan_out, ours, upstream, seats, watchers=count, model=size.model,
                        limit_s=size.limit_s)),
                )  # fmt: skip
                report.fan_out += [row for row in rows if row is not None]
            if "storm" in wanted and (
                storm := attempt("reconnect storm", lambda: measure_storm(
                    ours, upstream, ours.rooms[1], model=size.model, limit_s=size.limit_s))):  # fmt: skip
                report.storm.append(storm)
    if "fastapi" in systems and wanted & {"first", "streams"}:
        with run_fastapi(upstream) as endpoint:
            both(endpoint, size.streams, size.limit_s)
    if "tutorial" in systems and wanted & {"first", "streams"} and not size.quick:
        with run_tutorial(upstream) as tutorial:
            both(tutorial, size.streams[:1], size.tutorial_limit_s)


def raise_file_limit() -> None:
    """As many open files as we may have: 5,000 sockets need 5,000 here and 5,000 in the server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def write_docs(report: Report) -> None:
    path = ROOT / "docs" / "performance.md"
    path.write_text(render_docs(report))
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""Many answers at once: what arrives, how late, and what it costs. And one at a time: what the first token costs."""

from __future__ import annotations

import itertools
from typing import Any, Final

import msgspec

from tests.bench.answers import Answered
from tests.bench.client import Streams
from tests.bench.driving import Client
from tests.bench.meter import read_cost
from tests.bench.people import FIRST, PASSWORD
from tests.bench.profiling import Profiler
from tests.bench.runner import WARM_UP
from tests.bench.stamps import percentile
from tests.bench.systems import System, Upstream
from tests.bench.upstream import Answer

STARTS_PER_SECOND: Final = 40  # what 400 streams of ten seconds each bring in the long run
CONNECT_SECONDS: Final = 120.0
FIRST_MODEL: Final = "bench-50tps-4n"


class StreamsRow(msgspec.Struct):
    """One line of the table. Times in ms, CPU in µs per delivered token, memory in MB."""

    system: str
    streams: int
    offered_per_s: float
    delivered_per_s: float  # while the upstream had all streams running
    lost: int  # tokens missing from finished answers, doubled, out of order or damaged
    unfinished: int  # answers that were not complete when the run was stopped
    failed: int
    added_p50_ms: float
    added_p99_ms: float
    first_p50_ms: float
    first_p99_ms: float
    cpu_per_token_us: float
    cpu_us: dict[str, float]
    rss_mb: dict[str, float]
    delta_frames: float  # per answer
    bytes: float  # per answer, everything the socket got
    bytes_ratio: float  # bytes of the delta frames / bytes of the text
    gaps: int
    merged: int
    client_lag_ms: float
    upstream_late_ms: float
    others_cores: float  # cores that were busy with something else meanwhile
    problems: list[str]


class Hops(msgspec.Struct):
    """Where the time of a first token goes, idle: ms, p50 and p99 of each hop."""

    system: str
    answers: int
    first_p50_ms: float
    first_p99_ms: float
    hops: dict[str, tuple[float, float]]
    cpu_ms: dict[str, float]  # per answer of four tokens, by role
    others_cores: float


def ramp_seconds(streams: int) -> float:
    return max(1.0, streams / STARTS_PER_SECOND)


def model_for(streams: int, steady_s: float) -> str:
    """Answers at 20 tokens/s, so long that all of them run together for `steady_s`."""
    return f"bench-20tps-{round(20 * (ramp_seconds(streams) + steady_s))}n"


def measure_streams(
    system: System, upstream: Upstream, *, streams: int, model: str, limit_s: float, profiler: Profiler | None = None
) -> StreamsRow:
    """Starts `streams` answers over the ramp, then lets all of them run."""
    tag = f"{system.name}{streams}x"
    sessions = [system.sessions[number % len(system.sessions)] for number in range(streams)] if system.sessions else []
    plan = Streams(system.urls, sessions, streams, model, ramp_seconds(streams), limit_s, system.plain, tag)
    upstream.get("/bench/stats")
    with Client("streams", plan) as client:
        client.await_step("connected", CONNECT_SECONDS)
        before = read_cost(system.roles)
        if profiler is not None:
            profiler.start(system, f"{streams}-streams")
        client.go()
        client.await_step("streamed", plan.ramp_s + limit_s + 30)
        after = read_cost(system.roles)
        if profiler is not None:
            profiler.stop()
        client.go()
        result = client.result(120)
    spent = after.since(before)
    answers = msgspec.convert(result["answers"], list[Answered])
    ledger = read_ledger(upstream, {answer.tag for answer in answers})
    rate = int(model.split("-")[1].removesuffix("tps"))
    tokens = sum(answer.tokens for answer in answers)
    added = [value / 1000 for answer in answers for value in answer.added_us]
    firsts = first_tokens(answers, ledger)
    finished = [answer for answer in answers if answer.ending == "run.done"]
    return StreamsRow(
        system=system.name,
        streams=streams,
        offered_per_s=streams * rate,
        delivered_per_s=delivered_rate(answers, ledger, result["stopped_us"]),
        lost=sum(lost_tokens(answer, ledger.get(answer.tag)) for answer in finished),
        unfinished=sum(1 for answer in answers if not answer.ending),
        failed=sum(1 for answer in answers if answer.ending not in ("", "run.done")),
        added_p50_ms=percentile(added, 0.5),
        added_p99_ms=percentile(added, 0.99),
        first_p50_ms=percentile(firsts, 0.5),
        first_p99_ms=percentile(firsts, 0.99),
        cpu_per_token_us=sum(spent.values()) * 1e6 / max(1, tokens),
        cpu_us={role: seconds * 1e6 / max(1, tokens) for role, seconds in spent.items()},
        rss_mb={role: value / 2**20 for role, value in after.rss.items()},
        delta_frames=sum(answer.delta_frames for answer in answers) / len(answers),
        bytes=sum(answer.bytes for answer in answers) / len(answers),
        bytes_ratio=sum(answer.delta_bytes for answer in answers) / max(1, 7 * tokens),
        gaps=sum(answer.gaps for answer in answers),
        merged=sum(answer.merged for answer in answers),
        client_lag_ms=result["client_lag_ms"],
        upstream_late_ms=upstream.get("/bench/stats")["late_p99_ms"],
        others_cores=after.others(before),
        problems=sorted({f"{answer.ending} {answer.code}" for answer in answers if answer.code})[:5],
    )


def measure_first_token(
    system: System, upstream: Upstream, *, answers: int, model: str = FIRST_MODEL, profiler: Profiler | None = None
) -> Hops:
    tag = f"{system.name}first"
    login = None if system.plain else (FIRST, PASSWORD)
    plan = Streams(system.urls, [], answers, model, 0, 10, system.plain, tag, login)
    with Client("one_by_one", plan) as client:
        client.await_step("connected", CONNECT_SECONDS)
        before = read_cost(system.roles)
        if profiler is not None:
            profiler.start(system, "first")
        client.go()
        client.await_step("streamed", 30 + answers * 3)
        after = read_cost(system.roles)
        if profiler is not None:
            profiler.stop()
        client.go()
        seen = msgspec.convert(client.result()["answers"], list[Answered])
    ledger = read_ledger(upstream, {answer.tag for answer in seen})
    done = [answer for answer in seen if answer.ending == "run.done" and answer.tag in ledger]
    firsts = first_tokens(done, ledger)
    hops: dict[str, list[float]] = {}
    for answer in done:
        for name, value in hops_of(answer, ledger[answer.tag]).items():
            hops.setdefault(name, []).append(value)
    return Hops(
        system.name,
        len(done),
        percentile(firsts, 0.5),
        percentile(firsts, 0.99),
        {name: (percentile(values, 0.5), percentile(values, 0.99)) for name, values in hops.items()},
        {role: seconds * 1000 / (answers + WARM_UP) for role, seconds in after.since(before).items()},
        after.others(before),
    )


# A first token's way, in order; enqueueing and announcing run beside it.
WAY: Final = (
    "send", "received", "committed", "picked_up", "requested", "upstream asked", "upstream answers", "first_chunk",
    "appended", "first delta",
)  # fmt: skip


def hops_of(answer: Answered, upstream: Answer) -> dict[str, float]:
    """The parts of one first token's way in ms: as both ends saw it, then what the server itself tells (`timing`)."""
    hops = {
        "send → upstream has the request": (upstream.received_us - answer.sent_us) / 1000,
        "upstream's first chunk → first delta": (answer.first_us - upstream.first_us) / 1000,
    }
    if answer.accepted_us:
        hops["send → message.accepted"] = (answer.accepted_us - answer.sent_us) / 1000
    if answer.started_us:
        hops["send → run.started"] = (answer.started_us - answer.sent_us) / 1000
    told: dict[str, Any] = answer.timing or {}
    for name, value in told.items():
        if isinstance(value, int | float):
            hops[f"server: {name}"] = float(value)
    stamps = told.get("stamps")
    if isinstance(stamps, dict):  # {"committed": µs of the monotonic clock, …}
        points = {str(name): int(at) for name, at in stamps.items()}
        points |= {"send": answer.sent_us, "upstream asked": upstream.received_us}
        points |= {"upstream answers": upstream.first_us, "first delta": answer.first_us}
        way = [name for name in WAY if name in points]
        steps = [*itertools.pairwise(way), ("committed", "enqueued"), ("committed", "announced")]
        for before, after in steps:
            if before in points and after in points:
                hops[f"{before} → {after}"] = (points[after] - points[before]) / 1000
    return hops


def read_ledger(upstream: Upstream, tags: set[str]) -> dict[str, Answer]:
    ledger = msgspec.convert(upstream.get("/bench/answers"), list[Answer])
    return {answer.tag: answer for answer in ledger if answer.tag in tags}


def first_tokens(answers: list[Answered], ledger: dict[str, Answer]) -> list[float]:
    """Send to first delta, less what the upstream itself took, in ms."""
    return [
        (answer.first_us - answer.sent_us - (ledger[answer.tag].first_us - ledger[answer.tag].received_us)) / 1000
        for answer in answers
        if answer.first_us and answer.tag in ledger
    ]


def lost_tokens(answer: Answered, sent: Answer | None) -> int:
    """Tokens of a finished answer that did not arrive as they were sent, once each and in order."""
    faults = answer.misplaced + answer.damaged
    if sent is None:
        return faults
    missing = abs(sent.tokens - answer.tokens)
    return max(missing + faults, int(sent.crc != answer.crc))


def delivered_rate(answers: list[Answered], ledger: dict[str, Answer], stopped_us: int) -> float:
    """Tokens a second that reached the client while the upstream had every answer under way.

    Where there was no second of that (a saturated system starts some answers when others are over), the mean from the
    first token to the last.
    """
    arrivals = [arrival for answer in answers for arrival in answer.arrivals]
    if not arrivals:
        return 0.0
    known = [ledger[answer.tag] for answer in answers if answer.tag in ledger]
    start = max((one.first_us for one in known), default=0)
    end = min((one.last_us for one in known), default=0)
    if len(known) < len(answers) or end - start < 1_000_000:
        start, end = min(at for at, _ in arrivals), min(stopped_us, max(at for at, _ in arrivals))
    return sum(count for at, count in arrivals if start <= at <= end) * 1e6 / max(1, end - start)

"""Many sockets: idle ones, many on one stream, and all of them coming back at once."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from tests.bench.answers import Answered
from tests.bench.client import Idle
from tests.bench.driving import Client
from tests.bench.meter import read_cost
from tests.bench.sse import Sharing
from tests.bench.stamps import percentile
from tests.bench.streams import lost_tokens, read_ledger
from tests.bench.systems import System, Upstream
from tests.bench.watchers import Watching

CONNECT_SECONDS: Final = 300.0
_STATEMENT: Final = re.compile(r"LOG: +duration: [\d.]+ ms +(?:statement|execute [^:]*): (.*)")


class IdleRow(msgspec.Struct):
    sockets: int
    failed: int
    why: str
    opened_per_s: float
    kb_per_socket: float  # resident memory of the web processes, over the same processes without sockets
    cpu_percent: dict[str, float]  # of one core, while nothing happens
    open_ms: float  # CPU of all processes to open one: ticket and upgrade


class FanOutRow(msgspec.Struct):
    watchers: int
    frames_per_s: float
    wrong: int
    lost: int
    added_p50_ms: float
    added_p99_ms: float
    cpu_per_frame_us: float
    cpu_us: dict[str, float]
    over: str = "sockets"


class StormRow(msgspec.Struct):
    sockets: int
    rooms: int
    level_p50_s: float
    level_last_s: float
    level: int  # sockets that came level
    recovered: int  # without a snapshot
    wrong: int  # sockets whose text is not the answer
    lost: int
    tries: int
    problem: str
    queries: int
    cpu_s: dict[str, float]


def measure_idle(system: System, *, sockets: list[int], seconds: float) -> list[IdleRow]:
    rows = []
    empty = read_cost(system.roles)
    with Client("idle", Idle(system.urls, system.sessions, sockets)) as client:
        opened = 0
        before = empty
        for target in sockets:
            told = client.await_step("open", CONNECT_SECONDS)
            after = read_cost(system.roles)
            opening = sum(after.since(before).values())
            time.sleep(min(2.0, seconds))  # what opening left to do
            settled = read_cost(system.roles)
            time.sleep(seconds)
            before = read_cost(system.roles)
            now_open = int(told["sockets"])
            rows.append(
                IdleRow(
                    sockets=now_open,
                    failed=int(told["refused"]),
                    why=str(told["why"]),
                    opened_per_s=(now_open - opened) / max(0.001, told["seconds"]),
                    kb_per_socket=(settled.rss["web"] - empty.rss["web"]) / 1024 / max(1, now_open),
                    cpu_percent={role: value * 100 / seconds for role, value in before.since(settled).items()},
                    open_ms=opening * 1000 / max(1, now_open - opened),
                )
            )
            opened = now_open
            client.go()
            if now_open < target * 0.9:
                break
        client.result(120)
    return rows


def measure_fan_out(
    system: System, upstream: Upstream, room: tuple[str, list[str]], *, model: str, limit_s: float
) -> FanOutRow:
    plan = Watching(system.urls, [room], model, limit_s, tag="fan")
    return _measure_fan_out(system, upstream, "watching", plan, limit_s, over="sockets")


def with_tabs(room: tuple[str, list[str]], watchers: int) -> tuple[str, list[str]]:
    """The room with so many who watch: its members, with several tabs each where there are more seats than members."""
    conversation, (owner, *members) = room
    return conversation, [owner, *itertools.islice(itertools.cycle(members), watchers)]


def measure_sse_fan_out(
    system: System, upstream: Upstream, room: tuple[str, list[str]], *, watchers: int, model: str, limit_s: float
) -> FanOutRow:
    """The same over server-sent events: `watchers` follow a live share of the room."""
    plan = Sharing(system.urls, room, watchers, model, limit_s)
    return _measure_fan_out(system, upstream, "sharing", plan, limit_s, over="events")


def _measure_fan_out(
    system: System, upstream: Upstream, scenario: str, plan: Watching | Sharing, limit_s: float, *, over: str
) -> FanOutRow:
    with Client(scenario, plan) as client:
        client.await_step("connected", CONNECT_SECONDS)
        before, began = read_cost(system.roles), time.monotonic()
        client.go()
        client.await_step("streamed", limit_s + 30)
        after, seconds = read_cost(system.roles), time.monotonic() - began
        client.go()
        result = client.result()
    answers = msgspec.convert(result["answers"], list[Answered])
    ledger = read_ledger(upstream, {answer.tag for answer in answers})
    spent = after.since(before)
    frames = (result["followers"] + 1) * sum(answer.delta_frames for answer in answers)
    added = [value / 1000 for value in result["added_us"]]
    return FanOutRow(
        watchers=result["followers"],
        frames_per_s=frames / seconds,
        wrong=result["wrong"],
        lost=sum(lost_tokens(answer, ledger.get(answer.tag)) for answer in answers),
        added_p50_ms=percentile(added, 0.5),
        added_p99_ms=percentile(added, 0.99),
        cpu_per_frame_us=sum(spent.values()) * 1e6 / max(1, frames),
        cpu_us={role: value * 1e6 / max(1, frames) for role, value in spent.items()},
        over=over,
    )


def measure_storm(
    system: System, upstream: Upstream, rooms: list[tuple[str, list[str]]], *, model: str, limit_s: float
) -> StormRow:
    """All followers' connections are cut soon after the answers began, and all come back at once: no jitter."""
    assert system.stack is not None
    plan = Watching(system.urls, rooms, model, limit_s, storm_after_s=1.0, tag="storm")
    with Client("watching", plan) as client:
        client.await_step("connected", CONNECT_SECONDS)
        client.go()
        client.await_step("storm", 30)
        log_statements(system, True)
        log = system.stack.postgres.log
        mark = log.stat().st_size
        before = read_cost(system.roles)
        client.go()
        client.await_step("level", 120)
        after = read_cost(system.roles)
        queries = count_statements(log, mark)
        log_statements(system, False)
        client.go()
        client.await_step("streamed", limit_s + 30)
        client.go()
        result = client.result()
    answers = msgspec.convert(result["answers"], list[Answered])
    ledger = read_ledger(upstream, {answer.tag for answer in answers})
    return StormRow(
        sockets=result["followers"],
        rooms=len(rooms),
        level_p50_s=percentile(result["level_s"], 0.5),
        level_last_s=max(result["level_s"], default=0.0),
        level=len(result["level_s"]),
        recovered=result["recovered"],
        wrong=result["wrong"],
        lost=sum(lost_tokens(answer, ledger.get(answer.tag)) for answer in answers),
        tries=result["tries"],
        problem=result["problem"],
        queries=queries,
        cpu_s=after.since(before),
    )


def log_statements(system: System, on: bool) -> None:
    """Makes PostgreSQL write every statement to its log, or none. All transactions are the sample that is logged: its
    command line says `log_statement=none`, which nothing overrides.
    """
    assert system.stack is not None
    with psycopg.connect(system.stack.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET log_transaction_sample_rate = {int(on)}")
        connection.execute("SELECT pg_reload_conf()")


def count_statements(log: Path, mark: int) -> int:
    """Statements of the application in the log since byte `mark`, transaction control aside."""
    with log.open("rb") as file:
        file.seek(mark)
        text = file.read().decode(errors="replace")
    found = [match.strip().upper() for match in _STATEMENT.findall(text)]
    return sum(1 for one in found if not one.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "ALTER SYSTEM")))

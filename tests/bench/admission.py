"""Admission: what it takes to get a message accepted, with everything that guards it: rates, quotas, the insert.

Each of 100 people has a conversation of their own and sends into it at a person's pace, every few seconds and not in
step; then all at the same instant, a few times; then at a pace again, all drawing from one pot, whose row is the one
place where they wait for each other. They are held by two quotas of their plan and by every rate, each so high that it
lets everybody through but is counted. What is measured is from `message.send` to
`message.accepted`; the answers are four tokens long and run meanwhile.
"""

from __future__ import annotations

from typing import Final

import msgspec
import psycopg

from tests.bench.answers import Answered
from tests.bench.client import Admission
from tests.bench.driving import Client
from tests.bench.meter import read_cost
from tests.bench.profiling import Profiler
from tests.bench.stamps import percentile
from tests.bench.streams import FIRST_MODEL
from tests.bench.systems import System

CONNECT_SECONDS: Final = 120.0
PHASES: Final = ("at a person's pace", "all at once", "at a pace, one pot")
HOPS: Final = ("send → received", "rates, quotas and the insert", "→ accepted")
_QUOTAS: Final = """
INSERT INTO accounts_quota (plan_id, model, unit, period, "limit", hard, shared, starts_at)
SELECT id, '', 'messages', 'day', 1000000, true, false, now() FROM accounts_plan WHERE is_default
UNION ALL SELECT id, '', 'output_tokens', 'month', 1000000000, true, false, now()
FROM accounts_plan WHERE is_default
"""
_POT: Final = """
WITH crowd AS (INSERT INTO auth_group (name) VALUES ('bench') RETURNING id),
members AS (INSERT INTO accounts_user_groups (user_id, group_id) SELECT u.id, crowd.id FROM accounts_user u, crowd)
INSERT INTO accounts_quota (group_id, model, unit, period, "limit", hard, shared, starts_at)
SELECT id, '', 'messages', 'day', 1000000, true, true, now() FROM crowd
"""
_CLEAN: Final = (
    "DELETE FROM accounts_reservation",
    "DELETE FROM accounts_allowance",
    "DELETE FROM accounts_quota",
    "DELETE FROM accounts_user_groups",
    "DELETE FROM auth_group WHERE name = 'bench'",
)


class AdmissionRow(msgspec.Struct):
    """Times in ms. `hops`: (p50, p99) of the parts, where the server told them."""

    how: str
    senders: int
    sends: int
    per_s: float  # sent
    refused: int
    why: str
    p50_ms: float
    p99_ms: float
    hops: dict[str, tuple[float, float]]
    cpu_ms: dict[str, float]  # of one message with its answer
    others_cores: float
    client_lag_ms: float


def measure_admission(
    system: System, *, senders: int, rounds: int, every_s: float, bursts: int, profiler: Profiler | None = None
) -> list[AdmissionRow]:
    assert system.stack is not None
    rows = []
    with psycopg.connect(system.stack.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(_QUOTAS)
        try:
            plan = Admission(system.urls, system.sessions[:senders], FIRST_MODEL, rounds, every_s, bursts)
            with Client("admission", plan) as client:
                client.await_step("connected", CONNECT_SECONDS)
                for how in PHASES:
                    if how == PHASES[-1]:
                        connection.execute(_POT)
                    before = read_cost(system.roles)
                    if profiler is not None and how == PHASES[0]:
                        profiler.start(system, "admission")
                    client.go()
                    told = client.await_step("sent", rounds * every_s + bursts * 10 + 60)
                    if profiler is not None:
                        profiler.stop()
                    after = read_cost(system.roles)
                    answers = msgspec.convert(told["answers"], list[Answered])
                    seconds = max(0.001, float(told["seconds"]))
                    row = read_row(how, senders, answers, seconds, float(told["client_lag_ms"]))
                    row.cpu_ms = {role: used * 1000 / len(answers) for role, used in after.since(before).items()}
                    row.others_cores = after.others(before)
                    rows.append(row)
                client.go()
                client.result()
        finally:
            for statement in _CLEAN:
                connection.execute(statement)
    return rows


def read_row(how: str, senders: int, answers: list[Answered], seconds: float, lag_ms: float) -> AdmissionRow:
    """What follows from the answers' moments."""
    accepted = [answer for answer in answers if answer.accepted_us]
    waits = [(answer.accepted_us - answer.sent_us) / 1000 for answer in accepted]
    refused = [answer for answer in answers if not answer.accepted_us]
    hops: dict[str, list[float]] = {}
    for answer in accepted:
        stamps = (answer.timing or {}).get("stamps", {})
        if "received" in stamps and "committed" in stamps:
            moments = [answer.sent_us, stamps["received"], stamps["committed"], answer.accepted_us]
            for name, begin, end in zip(HOPS, moments, moments[1:], strict=False):
                hops.setdefault(name, []).append((end - begin) / 1000)
    return AdmissionRow(
        how=how,
        senders=senders,
        sends=len(answers),
        per_s=len(answers) / seconds,
        refused=len(refused),
        why=refused[0].code or refused[0].ending if refused else "",
        p50_ms=percentile(waits, 0.5),
        p99_ms=percentile(waits, 0.99),
        hops={name: (percentile(values, 0.5), percentile(values, 0.99)) for name, values in hops.items()},
        cpu_ms={},
        others_cores=0.0,
        client_lag_ms=lag_ms,
    )

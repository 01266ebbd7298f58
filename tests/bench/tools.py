"""What tools cost: a plain answer without and with tools offered, and answers that make calls in rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tests.bench.profiling import Profiler
from tests.bench.streams import FIRST_MODEL, measure_first_token
from tests.bench.systems import System, Upstream

ROUNDS: Final = (1, 4)  # of one call of `current_time` each, before the answer
MODELS: Final = tuple(f"{FIRST_MODEL}-{rounds}r" for rounds in ROUNDS)
SETTLED: Final = 1.0  # seconds after which each process knows of the switch (`chat.runs.tool_switch.FRESH_SECONDS`)
STOP: Final = (
    "INSERT INTO chat_toolswitch (id, stopped, reason, changed_at) VALUES (1, true, '', now())"
    " ON CONFLICT (id) DO UPDATE SET stopped = true"
)


class ToolsRow(msgspec.Struct):
    """Answers of four tokens. `rounds` of one call each before them; None: no tools are offered. Times in ms; CPU in ms
    per answer, by role. The first token is that of the text after the calls.
    """

    rounds: int | None
    answers: int
    first_p50_ms: float
    cpu_ms: dict[str, float]

    @property
    def cpu(self) -> float:
        return sum(self.cpu_ms.values())


def measure_tools(
    system: System, upstream: Upstream, *, answers: int, profiler: Profiler | None = None
) -> list[ToolsRow]:
    """No tools offered, tools offered and not called, then calls."""
    assert system.stack is not None
    rows = []
    system.stack.sql(STOP)
    try:
        time.sleep(SETTLED)
        rows.append(_measure(system, upstream, answers, None, FIRST_MODEL, None))
    finally:
        system.stack.sql("DELETE FROM chat_toolswitch")
    time.sleep(SETTLED)
    rows.append(_measure(system, upstream, answers, 0, FIRST_MODEL, None))
    for rounds, model in zip(ROUNDS, MODELS, strict=True):
        rows.append(_measure(system, upstream, answers, rounds, model, profiler))
    return rows


def _measure(
    system: System, upstream: Upstream, answers: int, rounds: int | None, model: str, profiler: Profiler | None
) -> ToolsRow:
    found = measure_first_token(system, upstream, answers=answers, model=model, profiler=profiler)
    return ToolsRow(rounds, found.answers, found.first_p50_ms, found.cpu_ms)


def tools_table(rows: Sequence[ToolsRow]) -> tuple[list[str], list[list[str]]]:
    """A line for each row, and what one round costs."""
    head = ["answers with", "answers", "first token p50 ms", "CPU ms", "web", "worker"]
    body = []
    for row in rows:
        name = "no tools" if row.rounds is None else f"tools, {row.rounds} rounds of calls"
        roles = [f"{row.cpu_ms.get(role, 0.0):.1f}" for role in ("web", "worker")]
        body.append([name, str(row.answers), f"{row.first_p50_ms:.1f}", f"{row.cpu:.1f}", *roles])
    plain = next((row for row in rows if row.rounds == 0), None)
    most = max(rows, key=lambda row: row.rounds or 0, default=None)
    if plain is not None and most is not None and most.rounds:
        roles = [
            f"{(most.cpu_ms.get(role, 0.0) - plain.cpu_ms.get(role, 0.0)) / most.rounds:.1f}"
            for role in ("web", "worker")
        ]
        first = (most.first_p50_ms - plain.first_p50_ms) / most.rounds
        body.append(["one round", "", f"{first:.1f}", f"{(most.cpu - plain.cpu) / most.rounds:.1f}", *roles])
    return head, body

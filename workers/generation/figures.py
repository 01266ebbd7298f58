"""Counts and logs a run that has ended."""

from __future__ import annotations

import structlog

from chat.runs.context import ClaimedRun
from chat.runs.ending import Ended
from chat.telemetry import metrics
from workers.generation.outcome import Outcome, RunClock
from workers.generation.written_answer import WrittenAnswer

logger = structlog.get_logger(__name__)


def count_ended(
    run: ClaimedRun, outcome: Outcome, ended: Ended, answer: WrittenAnswer, clock: RunClock, *, characters: int
) -> None:
    """Counts how it ended, its times, its tokens and its cost; `characters` are in its message."""
    used = ended.used
    metrics.count_run(
        outcome.status.value,
        model=run.model,
        cost=ended.cost,
        queued_ms=run.queued_ms,
        first_token_ms=outcome.first_token_ms,
        first_reasoning_ms=answer.first_reasoning_ms,
        total_ms=clock.elapsed_ms(),
        input_tokens=used.input_tokens if used else 0,
        output_tokens=used.output_tokens if used else 0,
    )
    logger.info(
        "run_ended",
        run=str(run.id),
        status=outcome.status.value,
        code=outcome.code,
        characters=characters,
        reasoning_ms=answer.reasoning_ms,
        first_token_ms=outcome.first_token_ms,
        total_ms=clock.elapsed_ms(),
    )

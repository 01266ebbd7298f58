"""What is known of a run at its end, as PostgreSQL gets it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from chat.eventlog.payloads import MODERATED
from chat.models import Run, RunStatus
from chat.runs.ending import Ending
from workers.generation.outcome import Outcome, RunClock
from workers.generation.screening import Screened
from workers.generation.written_answer import WrittenAnswer

UPSTREAM_SAID_CHARS: Final = 4_000  # of a provider's words that are stored with a run


def moderated(outcome: Outcome, screened: Screened) -> Outcome:
    """The outcome of a run that a rule has stopped, or that could not be screened; else the same."""
    if screened.failed:
        message = "Something went wrong while the answer was being checked."
        return replace(outcome, status=RunStatus.FAILED, code="internal", message=message, finish="")
    if screened.stopped:
        return replace(outcome, status=RunStatus.STOPPED, code=MODERATED, message=screened.sentence, finish="")
    return outcome


def make_ending(
    outcome: Outcome,
    screened: Screened,
    answer: WrittenAnswer,
    clock: RunClock,
    *,
    produced: str,
    rendered: Mapping[str, str],
) -> Ending:
    """`produced` is what the model wrote in this run, also what was withheld of it: it is billed."""
    usage = answer.billed_usage(outcome.usage, produced)
    context = answer.context
    return Ending(
        text=screened.text,
        reasoning=screened.reasoning,
        reasoning_ms=answer.reasoning_ms,
        rendered=rendered,
        finish=outcome.finish,
        upstream_said=outcome.said[:UPSTREAM_SAID_CHARS],
        upstream_request=outcome.request_id,
        upstream_model=answer.upstream_model,
        error_code=outcome.code,
        error_message=outcome.message,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        endpoint=answer.endpoint,
        usage_estimated=usage.estimated,
        usage_implausible=usage.implausible,
        reported_cost=None if usage.estimated else usage.cost,
        context_window=context.window if context else None,
        context_dropped=context.dropped if context else 0,
        first_token_ms=outcome.first_token_ms,
        first_reasoning_ms=answer.first_reasoning_ms,
        total_ms=clock.elapsed_ms(),
        parameters=answer.parameters,
        files=answer.files,
        sources=answer.sources,
    )


def read_heard_chars(run_id: uuid.UUID) -> int | None:
    """How much of a spoken answer its user has heard; None unless they talked over it."""
    return Run.objects.values_list("heard_chars", flat=True).filter(pk=run_id).first()

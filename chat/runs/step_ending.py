"""What becomes of the steps of a run that ends, and the events of its steps. Only for runs that have steps. Sync."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from accounts.quotas.settlement import Used
from chat.eventlog import events, tool_events
from chat.models import (
    CALL_ENDED,
    CallStatus,
    Run,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
    ToolCall,
    ToolEffect,
)
from chat.runs.clock import database_time
from chat.runs.step_rows import read_steps


@dataclass(frozen=True, slots=True)
class StepSums:
    """What the finished steps of a run have used together. The cost is None where a step has none."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None

    def fields(self, last: Used | None, cost: Decimal | None) -> dict[str, Any]:
        """The columns of the run: with its last request, which no step keeps, and which cost so much."""
        fields: dict[str, Any] = {
            "input_tokens": self.input_tokens + (last.input_tokens if last else 0),
            "output_tokens": self.output_tokens + (last.output_tokens if last else 0),
            "reasoning_tokens": self.reasoning_tokens + (last.reasoning_tokens if last else 0),
            "cost": self.cost,
        }
        if last is not None:
            fields["context_tokens"] = last.input_tokens
            fields["cost"] = None if self.cost is None or cost is None else self.cost + cost
        return fields


def end_steps(run: Run, status: RunStatus) -> StepSums:
    """Ends what is under way of a run that ends, which the caller has locked; what its finished steps have used.

    A call that is under way is cancelled. If the worker was lost, a call that writes may have happened.
    """
    now = database_time()
    calls = ToolCall.objects.filter(run=run).exclude(status__in=CALL_ENDED)
    if status == RunStatus.INTERRUPTED:
        calls.filter(status=CallStatus.RUNNING, effect=ToolEffect.WRITES).update(
            status=CallStatus.UNKNOWN, ended_at=now, expires_at=None
        )
    calls.update(status=CallStatus.CANCELLED, ended_at=now, expires_at=None)
    Step.objects.filter(run=run, status=StepStatus.RUNNING).update(status=StepStatus.CANCELLED, ended_at=now)
    return sum_steps(run)


def sum_steps(run: Run) -> StepSums:
    """What the finished steps of a run and their calls have used. Two queries."""
    rows = Step.objects.filter(run=run, kind=StepKind.MODEL).values_list(
        "input_tokens", "output_tokens", "reasoning_tokens", "cost"
    )
    sums, cost, known = StepSums(), Decimal(0), True
    for read, written, thought, step_cost in rows:
        sums = replace(
            sums,
            input_tokens=sums.input_tokens + (read or 0),
            output_tokens=sums.output_tokens + (written or 0),
            reasoning_tokens=sums.reasoning_tokens + thought,
        )
        known = known and step_cost is not None
        cost += step_cost or 0
    of_calls = ToolCall.objects.filter(run=run, cost__isnull=False).values_list("cost", flat=True)
    cost += sum((one for one in of_calls if one is not None), Decimal(0))
    return replace(sums, cost=cost if known else None)


def without_message(used: Used | None) -> Used | None:
    """The usage of a run's last request, where its first step has counted the message."""
    return used and replace(used, messages=0)


def step_notices(run: Run) -> list[events.Event]:
    """The events of what was under way when the run ended. Empty without steps.

    That calls were asked for comes again with their results: a worker that was stopped or lost may not have said so.
    """
    if not run.step_count:
        return []
    made: list[events.Event] = []
    model: Step | None = None
    for step in read_steps(run.pk):
        calls = [call for call in step.calls.all() if call.status in (CallStatus.CANCELLED, CallStatus.UNKNOWN)]
        if calls or step.status == StepStatus.CANCELLED:
            made += [tool_events.run_step(run, model)] if calls and model is not None else []
            made += [tool_events.tool_call(run, call, step.number) for call in calls]
            made += [tool_events.tool_result(run, call, step.number) for call in calls]
            made.append(tool_events.run_step(run, step))
        model = step if step.kind == StepKind.MODEL else None
    return made


def all_step_events(run: Run) -> list[events.Event]:
    """The events of all steps so far, for a log that has lost them. Empty without steps."""
    return events_of_steps(run, read_steps(run.pk)) if run.step_count else []


def events_of_steps(run: events.AnyRun, steps: Iterable[Step]) -> list[events.Event]:
    """The events of these steps as they are now; `step.calls` should be loaded. What readers know already changes
    nothing for them.
    """
    made = []
    for step in steps:
        calls = sorted(step.calls.all(), key=lambda one: one.place)
        is_over = bool(calls) and step.status != StepStatus.RUNNING
        made.append(tool_events.run_step_begun(run, step) if is_over else tool_events.run_step(run, step))
        for call in calls:
            made.append(tool_events.tool_call(run, call, step.number))
            if call.status == CallStatus.WAITING:
                made.append(tool_events.tool_approval(run, call, step.number))
            elif call.status in CALL_ENDED:
                made.append(tool_events.tool_result(run, call, step.number))
        if is_over:
            made.append(tool_events.run_step(run, step))
    return made

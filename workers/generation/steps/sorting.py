"""Which of the calls that have no result yet are made now, and which wait for a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chat.models import CallStatus, ToolCall, ToolEffect
from chat.runs.context import ClaimedRun
from chat.runs.decisions import NOT_REPEATED
from chat.runs.step_rows import CallEnd
from workers.generation.steps.calls import Calls
from workers.generation.steps.checks import Repetitions, refusal, tool_of, writes
from workers.generation.steps.stored import through_outages
from workers.generation.tool_use.approval import MAYBE_HAPPENED, Judged, Waiting
from workers.tools.base import Tool

OFF: Final = "This tool is turned off here."

Judge = Callable[[ClaimedRun, Sequence[Tool]], Awaitable[list[Judged]]]


async def sort_calls(
    calls: Sequence[ToolCall], making: Calls, repetitions: Repetitions, judge: Judge
) -> tuple[list[ToolCall], list[Waiting]]:
    """The calls that may be made now, and those that wait for a person. The others get their result here."""
    ready: list[ToolCall] = []
    waits: list[Waiting] = []
    to_judge: list[tuple[ToolCall, Tool]] = []
    for call in calls:
        tool = tool_of(call, making.tools)
        why = refusal(call, making.tools) or (repetitions.note(call) if call.status == CallStatus.ASKED else "")
        if why or tool is None:
            await _refuse(making, call, why)
        elif call.status == CallStatus.RUNNING and writes(call, tool):
            waits.append(Waiting(call.pk, MAYBE_HAPPENED))  # the worker of an earlier attempt was lost with it
        elif call.status in (CallStatus.RUNNING, CallStatus.ALLOWED):
            ready.append(call)
        else:
            to_judge.append((call, tool))
    verdicts = await through_outages(lambda: judge(making.run, [tool for _, tool in to_judge])) if to_judge else []
    for (call, _), verdict in zip(to_judge, verdicts, strict=True):
        if verdict.outcome == "allow":
            ready.append(call)
        elif verdict.outcome == "ask":
            waits.append(Waiting(call.pk, verdict.why))
        else:
            await _refuse(making, call, verdict.why or OFF)
    return ready, waits


async def _refuse(making: Calls, call: ToolCall, why: str) -> None:
    status = CallStatus.ERROR
    if call.status == CallStatus.RUNNING and call.effect == ToolEffect.WRITES:  # when its worker was lost
        status, why = CallStatus.UNKNOWN, f"{NOT_REPEATED} {why}"
    await making.end(call, CallEnd(status.value, why, len(why)))

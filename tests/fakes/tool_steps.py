"""Writes steps and calls of a run that is in progress, and their events, as the loop of a worker does.

For tests of what people see of them. It runs in a process of the stack: `stack.manage("shell", stdin=...)`.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.utils import timezone

from chat.eventlog import store, tool_events
from chat.models import CallStatus, Decision, Run, Step, StepKind, StepStatus, ToolCall, ToolDecision, ToolFile


def run_of(run_id: str) -> Run:
    return Run.objects.get(pk=run_id)


def begin(run_id: str, *calls: dict[str, Any], waiting: bool = False) -> None:
    """A model asks for `calls` (fields of `ToolCall`), and they begin, or wait for a person."""
    run = run_of(run_id)
    number = run.steps.count() + 1
    now = timezone.now()
    asked = Step.objects.create(
        run=run, number=number, attempt=run.attempt, kind=StepKind.MODEL, status=StepStatus.DONE, ended_at=now
    )
    kind = StepKind.APPROVAL if waiting else StepKind.TOOL
    step = Step.objects.create(run=run, number=number + 1, attempt=run.attempt, kind=kind)
    status = CallStatus.WAITING if waiting else CallStatus.RUNNING
    rows = [
        ToolCall.objects.create(
            run=run, model_step=asked, step=step, place=place, upstream_id=f"call_{number}_{place}", status=status,
            started_at=None if waiting else now, attempt=run.attempt,
            **{**fields, "arguments": _as_text(fields.get("arguments", {}))},
        )
        for place, fields in enumerate(calls)
    ]  # fmt: skip
    Run.objects.filter(pk=run.pk).update(step_count=number + 1)
    events = [tool_events.run_step(run, asked), tool_events.run_step(run, step)]
    events += [tool_events.tool_call(run, call, step.number) for call in rows]
    if waiting:
        events += [tool_events.tool_approval(run, call, step.number) for call in rows]
    _publish(run, events)


def progress(run_id: str, name: str, sentence: str) -> None:
    run = run_of(run_id)
    _publish(run, [tool_events.tool_progress(run, run.calls.filter(name=name).latest("created_at"), sentence)])


def end(run_id: str, name: str, *, status: str = "ok", output: Any = "", ms: int = 400, **fields: Any) -> None:
    """A call ends, and its step with the last of them. `files`: name, media type and content of each."""
    run = run_of(run_id)
    call = run.calls.select_related("step").filter(name=name).latest("created_at")
    call.status, call.output = status, _as_text(output)
    call.output_chars = fields.pop("output_chars", len(call.output))
    call.ended_at = timezone.now()
    call.started_at = call.ended_at - timedelta(milliseconds=ms)
    for made, media_type, content in fields.pop("files", ()):
        ToolFile.objects.create(
            conversation_id=run.conversation_id, call=call, name=made, media_type=media_type, size=len(content),
            content=content,
        )  # fmt: skip
    for field, value in fields.items():
        setattr(call, field, value)
    call.save()
    events = [tool_events.tool_result(run, call, call.step.number)]
    if not call.step.calls.filter(ended_at=None).exists():
        call.step.status, call.step.ended_at = StepStatus.DONE, call.ended_at
        call.step.started_at = call.ended_at - timedelta(milliseconds=ms)
        call.step.save()
        events.append(tool_events.run_step(run, call.step))
    _publish(run, events)


def deny(run_id: str, name: str) -> None:
    """The person who asked denies a call that waits, without letting the answer go on."""
    run = run_of(run_id)
    call = run.calls.select_related("step").filter(name=name).latest("created_at")
    call.status, call.decision, call.decided_by = CallStatus.DENIED, Decision.DENY, run.requested_by
    call.output, call.ended_at = "A person denied it.", timezone.now()
    call.output_chars = len(call.output)
    call.save()
    decided = ToolDecision.objects.create(step=call.step, call=call, decision=Decision.DENY, by=run.requested_by)
    _publish(run, [tool_events.tool_decided(run, decided), tool_events.tool_result(run, call, call.step.number)])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _publish(run: Run, events: list[Any]) -> None:
    async_to_sync(store.append)(store.Append(run.conversation_id, events))

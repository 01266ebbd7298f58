"""Builds the events of steps and tool calls (docs/protocol.md §2), and what snapshots and pages show of them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db.models import Prefetch

from chat.eventlog.events import AnyRun, Event
from chat.eventlog.payloads import person_dict
from chat.models import CALL_ENDED, CallStatus, Decision, Step, StepKind, StepStatus, ToolCall, ToolDecision, ToolFile
from chat.protocol.frames import encode_event

SHOWN_CHARS: Final = 16 * 1024  # of arguments and of a result, in events and snapshots
_SHOWN_SOURCE: Final = ("n", "title", "url", "passage")


def run_step(run: AnyRun, step: Step) -> Event:
    """A step begins or ends. `ms` is how long it took; absent while it runs."""
    return _event("run.step", run, attempt=run.attempt, **step_dict(step))


def run_step_begun(run: AnyRun, step: Step) -> Event:
    """A step begins, which may have ended meanwhile."""
    return _event(
        "run.step", run, attempt=run.attempt, step=step.number, kind=step.kind, status=StepStatus.RUNNING.value
    )


def tool_call(run: AnyRun, call: ToolCall, step: int) -> Event:
    """A model asks for a call."""
    return _event("tool.call", run, step=step, **_call(call))


def tool_approval(run: AnyRun, call: ToolCall, step: int) -> Event:
    """A call waits for a person: to be allowed, or for the answer to its question."""
    return _event("tool.approval", run, step=step, **_call(call), **_asked(call))


def tool_decided(run: AnyRun, decision: ToolDecision) -> Event:
    """A person decided about a call that waited, or nobody did in time."""
    return _event("tool.decided", run, **decision_dict(decision))


def tool_progress(run: AnyRun, call: ToolCall, sentence: str) -> Event:
    """What a call that runs is doing, in a short sentence."""
    return _event("tool.progress", run, call_id=str(call.pk), text=sentence[:200])


def tool_result(run: AnyRun, call: ToolCall, step: int) -> Event:
    """A call has ended."""
    return _event("tool.result", run, step=step, call_id=str(call.pk), **result_dict(call))


def decision_dict(decision: ToolDecision) -> dict[str, Any]:
    """Who decided what about a call, and when. `by` is null where nobody did in time (`expired`), or for somebody who
    was erased. Edited arguments are there as they are sent, and the reason of a denial.
    """
    call = decision.call
    shown: dict[str, Any] = {
        "call_id": str(call.pk),
        "title": call.title or call.name,
        "decision": decision.decision,
        "by": person_dict(decision.by) if decision.by is not None else None,
        "at": decision.at.isoformat(),
    }
    for name in ("expired", "answered", "edited"):
        if getattr(decision, name):
            shown[name] = True
    if decision.edited:
        shown["arguments"] = _cut(call.sent_arguments)
    if decision.decision == Decision.DENY and call.reason:
        shown["reason"] = call.reason
    return shown


def step_dict(step: Step) -> dict[str, Any]:
    shown: dict[str, Any] = {"step": step.number, "kind": step.kind, "status": step.status}
    if step.ended_at is not None and step.status != StepStatus.RUNNING:
        shown["ms"] = max(0, round((step.ended_at - step.started_at).total_seconds() * 1000))
    return shown


def result_dict(call: ToolCall) -> dict[str, Any]:
    """The result of an ended call: `output` is cut for display, `output_chars` its whole length."""
    shown: dict[str, Any] = {"status": call.status, "output": _cut(call.output), "output_chars": call.output_chars}
    if call.started_at is not None and call.ended_at is not None:
        shown["ms"] = max(0, round((call.ended_at - call.started_at).total_seconds() * 1000))
    if call.sources:
        shown["sources"] = [{key: one[key] for key in _SHOWN_SOURCE if key in one} for one in call.sources]
    if call.queries:
        shown["queries"] = call.queries
    files = [{"id": str(one.pk), "name": one.name, "media_type": one.media_type, "size": one.size}
             for one in call.files.all()] if call.status == CallStatus.OK else []  # fmt: skip
    if files:
        shown["files"] = files
    return shown


def steps_of(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps of an answer as snapshots and pages show them, each with the calls that were made in it.

    Reads `step.calls` with `decided_by` and `files`, and `step.decisions` with `by` and `call`: prefetch them. A step
    of kind approval has the `decisions` that ended its wait.
    """
    shown = []
    for step in steps:
        one = step_dict(step)
        if step.kind == StepKind.APPROVAL:
            decisions = sorted(step.decisions.all(), key=lambda decision: (decision.at, decision.pk))
            one["decisions"] = [decision_dict(decision) for decision in decisions]
        if calls := sorted(step.calls.all(), key=lambda call: call.place):
            one["calls"] = [_state(call) for call in calls]
        shown.append(one)
    return shown


def read_steps(run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The steps of these runs as `steps_of` has them, by the id of the run. No query without runs."""
    if not run_ids:
        return {}
    files = Prefetch("files", ToolFile.objects.defer("content"))  # they may be large
    calls = ToolCall.objects.select_related("decided_by").prefetch_related(files)
    decisions = ToolDecision.objects.select_related("by", "call")
    rows = Step.objects.filter(run__in=run_ids).order_by("run", "number")
    rows = rows.prefetch_related(Prefetch("calls", calls), Prefetch("decisions", decisions))
    found: dict[uuid.UUID, list[Step]] = {}
    for row in rows:
        found.setdefault(row.run_id, []).append(row)
    return {run_id: steps_of(steps) for run_id, steps in found.items()}


def _state(call: ToolCall) -> dict[str, Any]:
    shown = _call(call) | {"status": call.status}
    if call.status == CallStatus.WAITING:
        shown |= _asked(call)
    if call.decision:
        shown["decision"] = call.decision
        shown["by"] = person_dict(call.decided_by) if call.decided_by is not None else None
        shown["edited"] = bool(call.edited_arguments)
    return shown | result_dict(call) if call.status in CALL_ENDED else shown


def _asked(call: ToolCall) -> dict[str, Any]:
    """Why a call waits, for what, and until when. `arguments_chars`: its arguments were cut, and have so many."""
    shown: dict[str, Any] = {"why": call.why}
    if call.question:
        shown["question"] = call.question
    if call.expires_at is not None:
        shown["expires_at"] = call.expires_at.isoformat()
    if len(call.sent_arguments) > SHOWN_CHARS:
        shown["arguments_chars"] = len(call.sent_arguments)
    return shown


def _call(call: ToolCall) -> dict[str, Any]:
    shown = {
        "call_id": str(call.pk),
        "name": call.name,
        "title": call.title or call.name,
        "arguments": _cut(call.sent_arguments),
        "effect": call.effect,
    }
    if call.server:
        shown["server"] = call.server
    return shown


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


def _event(kind: str, run: AnyRun, /, **fields: Any) -> Event:
    event = {
        "type": kind,
        "conversation_id": str(run.conversation_id),
        "message_id": str(run.message_id),
        "run_id": str(run.id),
        **fields,
    }
    return encode_event(event), False

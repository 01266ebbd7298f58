"""The events of a wait for approval in the conversation's log, and the notices of it.

All of them are appends of the attempt that waited, with numbers from its end on: what it waits for, each decision in
its order, and that the run goes on. Appended again, they are skipped, so any process may make up for one that died.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from django.db import connection

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import events, store
from chat.eventlog.events import Event
from chat.eventlog.tool_events import run_step, tool_approval, tool_decided, tool_result
from chat.models import (
    CallStatus,
    Decision,
    Member,
    Run,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
    ToolCall,
    ToolDecision,
    WaitingFor,
)
from chat.notifications.marks import publish_marks
from chat.notifications.notify import Kind, News, notify_all
from chat.runs.approval_facts import MAY_DECIDE
from chat.runs.approvals import last_wait
from chat.runs.closing import TERMINAL_NUMBER, announcements

APPROVAL: Final = WaitingFor.APPROVAL.value

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wait:
    """A wait as its rows are now. `fresh`: the log may not have it yet, and nobody has decided."""

    appends: list[store.Append]
    conversation_id: uuid.UUID
    deciding: list[uuid.UUID]  # those who may decide
    fresh: bool


async def announce_wait(run_id: uuid.UUID, attempt: int) -> None:
    """Appends the wait that ended this attempt of a run, and what was decided since. Members' lists show it, and those
    who may decide get a notification, the first time. Nothing for an attempt that ended otherwise.

    Raises one of `OUTAGE` if PostgreSQL or Redis is away; then the recovery of any process does it.
    """
    wait = await in_db(_read, run_id, attempt)
    if wait is None:
        return
    await store.append(*wait.appends)
    first = await in_db(_note_in_log, run_id) and wait.fresh
    await publish_marks([wait.conversation_id])
    if first:
        await notify_all([News(Kind.DECIDE, wait.conversation_id, None, tuple(wait.deciding))])


async def announce_waits(run_ids: Sequence[tuple[uuid.UUID, int]]) -> None:
    """`announce_wait` of several (run, attempt that waited). An outage is only logged."""
    for run_id, attempt in run_ids:
        try:
            await announce_wait(run_id, attempt)
        except (*OUTAGE, OSError) as error:
            note = "the recovery of any process does it"
            logger.warning("wait_not_published", run=str(run_id), error=type(error).__name__, note=note)


def unannounced_waits(seconds: float, limit: int = 100) -> list[tuple[uuid.UUID, int]]:
    """The runs whose wait, or a decision in it, has not been in the log for so many seconds, and their attempts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.attempt FROM chat_run r WHERE r.status = 'waiting' AND r.waiting_for = 'approval'"
            " AND NOT r.ended_in_log AND NOT EXISTS (SELECT FROM chat_step s LEFT JOIN chat_tooldecision d"
            " ON d.step_id = s.id WHERE s.run_id = r.id AND s.kind = 'approval' AND s.attempt = r.attempt"
            " AND GREATEST(s.started_at, d.at) > clock_timestamp() - make_interval(secs => %s))"
            " ORDER BY r.created_at LIMIT %s",
            [seconds, limit],
        )
        return [(row[0], row[1]) for row in cursor.fetchall()]


def decided_of(run_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, int]]:
    """Those of these runs that wait for an approval no more and have not gone on yet, with the attempt that waited."""
    steps = Step.objects.filter(kind=StepKind.APPROVAL, status=StepStatus.DONE, run__status=RunStatus.QUEUED)
    rows = steps.filter(run__in=run_ids).values_list("run", "attempt", "run__attempt")
    return list(dict.fromkeys((run, attempt) for run, attempt, now in rows if attempt == now))


def _note_in_log(run_id: uuid.UUID) -> bool:
    """Notes that the log has all of a wait. False: it was noted before, or the run does not wait any more."""
    waiting = Run.objects.filter(pk=run_id, status=RunStatus.WAITING, waiting_for=APPROVAL, ended_in_log=False)
    return bool(waiting.update(ended_in_log=True))


def _read(run_id: uuid.UUID, attempt: int) -> _Wait | None:
    run = Run.objects.filter(pk=run_id).first()
    step = last_wait(run_id, attempt) if run is not None else None
    if run is None or step is None:
        return None
    run.attempt = attempt  # the next one may have begun: these are events of the attempt that waited
    decisions = list(step.decisions.select_related("by", "call__step").order_by("at", "pk"))
    waiting = list(ToolCall.objects.filter(run=run, status=CallStatus.WAITING).select_related("step"))
    calls = sorted([*(one.call for one in decisions), *waiting], key=lambda call: (call.step.number, call.place))
    groups = [_begun(run, step, calls), *(_decided(run, one) for one in decisions)]
    if step.status == StepStatus.DONE:
        groups.append(_resumed(run, step))
    appends = [
        store.Append(run.conversation_id, group, run.pk, attempt, number)
        for number, group in enumerate(groups, TERMINAL_NUMBER)
    ]
    if not run.ended_in_log and run.status == RunStatus.WAITING and not decisions:
        first = announcements([run.pk])[run.pk]
        appends.insert(0, store.Append(run.conversation_id, first, run.pk, attempt=0, number=1))
    members = Member.objects.filter(conversation=run.conversation_id, role__in=MAY_DECIDE)
    deciding = list(members.values_list("user_id", flat=True))
    return _Wait(appends, run.conversation_id, deciding, fresh=not decisions)


def _begun(run: Run, step: Step, calls: Sequence[ToolCall]) -> list[Event]:
    """The end of the attempt: the run waits."""
    began = Step(number=step.number, kind=step.kind, status=StepStatus.RUNNING, started_at=step.started_at)
    asked = [tool_approval(run, call, step.number) for call in calls]
    return [run_step(run, began), *asked, events.run_waiting(run, APPROVAL, attempt=step.attempt + 1)]


def _decided(run: Run, one: ToolDecision) -> list[Event]:
    shown = [tool_decided(run, one)]
    if one.decision == Decision.DENY:
        shown.append(tool_result(run, one.call, one.call.step.number))
    return shown


def _resumed(run: Run, step: Step) -> list[Event]:
    goes_on = step.attempt + 1
    return [
        run_step(run, step),
        events.run_resumed(run, APPROVAL, attempt=goes_on),
        events.run_queued(run, attempt=goes_on),
    ]

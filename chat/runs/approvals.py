"""A run waits for people to decide about calls of tools: without a lease, a job and a reservation, for days if need be.

`chat.runs.decisions` ends the wait, `chat.runs.approval_log` has the events of both. All of them lock a run before its
calls, and these before the answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from accounts.quotas.settlement import settle_run
from chat.models import CallStatus, Run, RunStatus, Step, StepKind, ToolCall, WaitingFor
from chat.runs.claims import drop_unfinished
from chat.runs.clock import database_time
from chat.runs.context import ClaimedRun
from chat.runs.questions import usable_question

CAN_WAIT: Final = (CallStatus.ASKED.value, CallStatus.RUNNING.value)


@dataclass(frozen=True, slots=True)
class Wait:
    """What a call waits for: to be allowed, or for the answer to its `question` (`sentence` and JSON `schema`, see
    `chat.runs.questions.usable_question`).

    `why` is a sentence for people, at most 200 characters. A call that was under way when its worker was lost waits,
    too: it keeps its `started_at`, and a person decides whether it is made again.
    """

    call_id: uuid.UUID
    why: str
    question: Mapping[str, Any] | None = None


def wait_for_approval(run: ClaimedRun, owner: str, waits: Sequence[Wait]) -> bool:
    """The run waits for decisions about these calls, which were asked for or are running. The answer's text stays as
    the step that asked for them has stored it; what an attempt has written after it is dropped.

    It gives back what a run under way has: its lease, and what it reserved. Usage that is booked stays booked. Call
    `chat.runs.approval_log.announce_wait` afterwards: it appends the end of this attempt to the log.

    False, and nothing has changed: the run is not this worker's any more, or a stop was asked for. Raises `ValueError`
    for a call that is not of this run or has ended, and for a question that nobody can be asked.
    """
    with transaction.atomic():
        found = Run.objects.select_for_update().filter(pk=run.id, attempt=run.attempt, status=RunStatus.RUNNING)
        row = found.filter(lease_owner=owner, stop_requested_at=None).first()
        if row is None:
            return False
        now = database_time()
        _let_wait(row, waits, now + timedelta(hours=settings.TOOL_APPROVAL_HOURS))
        last = Step.objects.filter(run=row).aggregate(last=Max("number"))["last"] or 0
        row.step_count = last + 1
        Step.objects.create(run=row, number=last + 1, attempt=row.attempt, kind=StepKind.APPROVAL, started_at=now)
        drop_unfinished(row)
        row.status, row.waiting_for = RunStatus.WAITING, WaitingFor.APPROVAL
        row.lease_owner, row.lease_expires_at, row.enqueued_at = "", None, None
        row.ended_in_log = False  # what it waits for is not in the log yet
        row.save(
            update_fields=[
                "status", "waiting_for", "lease_owner", "lease_expires_at", "enqueued_at", "ended_in_log", "step_count",
            ]
        )  # fmt: skip
        # As late as possible: from here to the commit everybody who shares a quota waits.
        settle_run(row.requested_by_id, row.pk, row.created_at, None, conversation_id=row.conversation_id)
        return True


def last_wait(run_id: uuid.UUID, attempt: int) -> Step | None:
    """The wait that ended an attempt of a run; None: it ended otherwise."""
    steps = Step.objects.filter(run=run_id, attempt=attempt, kind=StepKind.APPROVAL)
    return steps.order_by("-number").first()


def _let_wait(run: Run, waits: Sequence[Wait], expires_at: datetime) -> None:
    wanted = {wait.call_id: wait for wait in waits}
    found = ToolCall.objects.select_for_update().filter(run=run, pk__in=wanted, status__in=CAN_WAIT)
    calls = list(found.order_by("pk"))
    if not calls or len(calls) != len(wanted):
        raise ValueError("A call that is to wait is not of this run, or has ended.")
    for call in calls:
        wait = wanted[call.pk]
        call.status, call.why, call.expires_at = CallStatus.WAITING, wait.why[:200], expires_at
        call.question = None
        if wait.question is not None:
            call.question = usable_question(wait.question["sentence"], wait.question["schema"])
        call.decision, call.decided_by, call.decided_at = "", None, None  # `ToolDecision` keeps those of before
    ToolCall.objects.bulk_update(
        calls, ["status", "why", "expires_at", "question", "decision", "decided_by", "decided_at"]
    )

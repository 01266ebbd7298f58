"""People decide about the calls that a run waits for; when none waits any more, the run is queued again.

The callers have locked the run, then the call, so that two who decide, an expiry and a stop come one after the other:
the first one stands.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now

from accounts.quotas.reservations import QuotaFull, reserve_step
from chat.models import (
    CallStatus,
    Conversation,
    Decision,
    Message,
    Run,
    RunStatus,
    StepStatus,
    ToolApproval,
    ToolCall,
    ToolDecision,
    ToolEffect,
    WaitingFor,
)
from chat.runs.approvals import last_wait
from chat.runs.clock import database_time
from chat.runs.ending import Ended, end_run
from chat.runs.tool_rules import own_name

EXPIRED: Final = "Nobody decided in time."
EXPIRED_CODE: Final = "expired"
DENIED: Final = "A person did not allow this call."
DECLINED: Final = "A person did not answer the question."
NOT_REPEATED: Final = "Whether this call had its effect is not known, and it was not made again."
QUOTA_CODE: Final = "quota_exceeded"
ONCE: Final = 50  # expired runs of one round


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided about a call. `by` is None where its time was over. `arguments`: with these instead of the
    model's; empty: with the model's. `answer`: to its question. `reason`: why it is denied.
    """

    decision: Decision
    by: uuid.UUID | None = None
    arguments: str = ""
    answer: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WaitChanged:
    """What a decision made of a run. `attempt` is the one that waited. `queued`: it goes on, and needs a job. `ended`:
    it cannot go on.
    """

    run_id: uuid.UUID
    conversation_id: uuid.UUID
    attempt: int
    queued: bool = False
    ended: Ended | None = None


def decide(run: Run, call: ToolCall, decided: Decided) -> WaitChanged:
    """Writes a decision about a call that waits; both rows are locked. The run goes on if it was the last one.

    It ends instead where nobody decided in time because the conversation is in the trash, where nobody can: the model
    is not asked for an answer that nobody waits for. Whoever restores the conversation can continue the answer.
    """
    now = database_time()
    wait = last_wait(run.pk, run.attempt)
    assert wait is not None  # a run that waits for approval has such a step
    ToolDecision.objects.create(
        step=wait,
        call=call,
        decision=decided.decision,
        by_id=decided.by,
        expired=decided.by is None,
        answered=call.question is not None,
        edited=bool(decided.arguments),
        at=now,
    )
    if decided.decision == Decision.DENY:
        call.reason = decided.reason
        _end_denied(call, now, expired=decided.by is None)
    else:
        call.status = CallStatus.ALLOWED
        if decided.answer is not None:
            call.answers = [*call.answers, dict(decided.answer)]
        call.edited_arguments = decided.arguments or call.edited_arguments
        _remember(run, call, decided)
    call.decision, call.decided_by_id, call.decided_at = decided.decision, decided.by, now
    call.save(
        update_fields=[
            "status", "answers", "edited_arguments", "decision", "decided_by", "decided_at", "reason", "output",
            "output_chars", "ended_at",
        ]
    )  # fmt: skip
    changed = WaitChanged(run.pk, run.conversation_id, run.attempt)
    if ToolCall.objects.filter(run=run, status=CallStatus.WAITING).exists():
        Run.objects.filter(pk=run.pk).update(ended_in_log=False)  # until the log has the decision
        return changed
    if decided.by is None and Conversation.objects.filter(pk=run.conversation_id, deleted_at__isnull=False).exists():
        ended = end_run(run.pk, run.attempt, RunStatus.STOPPED, why=(EXPIRED_CODE, EXPIRED))
        return WaitChanged(run.pk, run.conversation_id, run.attempt, ended=ended)
    if (full := _reserve_again(run)) is not None:
        ended = end_run(run.pk, run.attempt, RunStatus.FAILED, why=(QUOTA_CODE, full))
        return WaitChanged(run.pk, run.conversation_id, run.attempt, ended=ended)
    wait.status, wait.ended_at = StepStatus.DONE, now
    wait.save(update_fields=["status", "ended_at"])
    # The sweeper enqueues what this process does not.
    Run.objects.filter(pk=run.pk).update(status=RunStatus.QUEUED, waiting_for="", enqueued_at=None, ended_in_log=False)
    return WaitChanged(run.pk, run.conversation_id, run.attempt, queued=True)


def expire_approvals() -> list[WaitChanged]:
    """Denies calls whose time is over by the database's clock, a transaction for each run. Runs that somebody has
    locked are left for the next time.
    """
    late = ToolCall.objects.filter(status=CallStatus.WAITING, expires_at__lte=Now())
    changed = []
    for run_id in list(late.order_by("expires_at").values_list("run_id", flat=True)[:ONCE]):
        with transaction.atomic():
            rows = Run.objects.select_for_update(skip_locked=True, of=("self",))
            run = rows.filter(pk=run_id, status=RunStatus.WAITING, waiting_for=WaitingFor.APPROVAL).first()
            if run is None:
                continue
            calls = late.filter(run=run).select_for_update(of=("self",)).order_by("pk")
            changed += [decide(run, call, Decided(Decision.DENY)) for call in calls]
    return changed


def _end_denied(call: ToolCall, now: datetime, *, expired: bool) -> None:
    """Ends a call that is not made, or not made again; `output` is what the model reads."""
    begun = call.started_at is not None and call.question is None
    unknown = begun and call.effect == ToolEffect.WRITES
    call.status = CallStatus.UNKNOWN if unknown else CallStatus.DENIED
    if unknown:
        call.output = f"{EXPIRED} {NOT_REPEATED}" if expired else NOT_REPEATED
    else:
        call.output = EXPIRED if expired else DECLINED if call.question is not None else DENIED
    call.output_chars, call.ended_at = len(call.output), now


def _remember(run: Run, call: ToolCall, decided: Decided) -> None:
    """Writes an approval for longer: the next calls of this tool do not ask, as far as the policies allow it."""
    if decided.decision not in (Decision.CONVERSATION, Decision.ALWAYS) or decided.by is None:
        return
    conversation = run.conversation_id if decided.decision == Decision.CONVERSATION else None
    approval = ToolApproval(
        user_id=decided.by, conversation_id=conversation, server=call.server, tool=own_name(call.name, call.server)
    )
    ToolApproval.objects.bulk_create([approval], ignore_conflicts=True)


def _reserve_again(run: Run) -> str | None:
    """Reserves what the rest of the answer may use. None: it has; else why there is no room, for the user."""
    if run.requested_by_id is None:
        return None
    texts = Message.objects.filter(pk__in=[run.prompt_id, run.message_id]).values_list("text", flat=True)
    try:
        reserve_step(run.requested_by_id, run.pk, run.model, input_tokens=sum(map(len, texts)) // 4)
    except QuotaFull as error:
        return str(error)
    return None

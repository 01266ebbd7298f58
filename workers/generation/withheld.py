"""What judges have found, written to PostgreSQL: the case and what it withholds in one transaction. Sync."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Left, Now

from accounts.lib.outage import OUTAGE
from chat.eventlog import events
from chat.models import Message, MessageStatus, ModerationCase, ModerationDecision, Reasoning, Run, RunStatus
from chat.models.moderation import Action, CaseStatus, CaseTarget, DecisionKind, Direction
from chat.models.statuses import WaitingFor
from chat.moderation.cases import Finding, lock_message_cases, open_case, shown_moderation
from chat.moderation.rewriting import publish_rewritten, rewrite_message
from chat.moderation.withheld_questions import judge_answers, thinking_of
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ended, Ending, end_run
from workers.generation.outcome import Outcome, Withheld

logger = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a question before it is judged: its own `text`, without the name that models get with it,
    `moderation` as its row has it, the `details` of its cases, and whether a reviewer has `released` it.
    """

    text: str
    moderation: dict[str, str]
    details: tuple[Any, ...]
    released: bool


def read_known(message_id: uuid.UUID) -> Known:
    """Two queries."""
    text, moderation = Message.objects.values_list("text", "moderation").filter(pk=message_id).first() or ("", {})
    cases = ModerationCase.objects.filter(target=CaseTarget.MESSAGE, target_id=message_id)
    rows = list(cases.values_list("pk", "status", "rules"))
    decided = [pk for pk, status, _ in rows if status == CaseStatus.DECIDED]
    last = ModerationDecision.objects.filter(case__in=decided).order_by("-decided_at").first() if decided else None
    released = moderation.get("action") == "release" or (last is not None and last.kind == DecisionKind.RELEASE)
    return Known(text, moderation, tuple(one for *_, details in rows for one in details), released)


def open_message_case(
    run: ClaimedRun, finding: Finding, text: str, *, answered: bool, thinking: str = ""
) -> ModerationCase:
    """The case of the run's question, which is its author's, or of its answer, which is whose question it answers."""
    person = run.user_id
    if not answered:
        person = Message.objects.values_list("author", flat=True).filter(pk=run.prompt_id).first() or person
    with transaction.atomic():
        return open_case(
            CaseTarget.MESSAGE,
            run.message_id if answered else run.prompt_id,
            finding,
            direction=Direction.ANSWERED if answered else Direction.ASKED,
            original=text,
            original_reasoning=thinking,
            person_id=person,
            conversation_id=run.conversation_id,
        )


def withhold(run: ClaimedRun, withheld: Withheld) -> None:
    """Opens the case and takes the text away, in one transaction or as a part of the caller's. What the model thought
    goes with an answer: it may say the same.
    """
    answered = withheld.kept is not None
    with transaction.atomic():
        question = None if answered else Message.objects.filter(pk=run.prompt_id).first()
        lock_message_cases(run.message_id if answered else run.prompt_id)
        if not answered:  # other models may be answering it, side by side: their workers stop within seconds
            others = Run.objects.filter(prompt_id=run.prompt_id, status=RunStatus.RUNNING, stop_requested_at=None)
            others.exclude(pk=run.id).update(stop_requested_at=Now())
        thinking = thinking_of(run.message_id) if answered else ""
        case = open_message_case(run, withheld.finding, withheld.original, answered=answered, thinking=thinking)
        rewrite_message(
            run.message_id if answered else run.prompt_id,
            withheld.kept or "",
            shown_moderation(case),
            reasoning="" if answered else None,
            publish=False,
        )
        if question is not None:
            judge_answers(question)


async def publish_withheld(run: ClaimedRun, *, answered: bool) -> None:
    """After the commit of what `withhold` wrote: the event log begins anew without it. Raises nothing."""
    try:
        await publish_rewritten([run.message_id if answered else run.prompt_id])
    except (*OUTAGE, OSError) as error:
        note = "the recovery of any process does it"
        logger.warning("rewriting_not_published", run=str(run.id), error=type(error).__name__, note=note)


def end_withheld(
    run: ClaimedRun,
    outcome: Outcome,
    ending: Ending,
    owner: str,
    *,
    moderate: Callable[[], dict[str, str]] | None = None,
    note_unread: Callable[[], None] = _nothing,
) -> Ended | None:
    """`end_run`, together with what a judge has the run withhold, and then what no judge has read yet (`note_unread`).
    None: the run is not this worker's any more, and nothing has changed.
    """
    with transaction.atomic():
        if moderate is not None or outcome.withheld is not None:
            lock_message_cases(run.message_id, run.prompt_id)
        ended = end_run(run.id, run.attempt, outcome.status, ending, owner=owner, unread=False, moderate=moderate)
        if ended is not None and outcome.withheld is not None:
            withhold(run, _as_stored(run, outcome.withheld))
        if ended is not None:
            note_unread()
        return ended


def _as_stored(run: ClaimedRun, withheld: Withheld) -> Withheld:
    """Of an answer that its user talked over, no more is kept than what they heard."""
    if withheld.kept is None:
        return withheld
    stored = Message.objects.values_list("text", flat=True).get(pk=run.message_id)
    return replace(withheld, kept=stored) if withheld.kept.startswith(stored) else withheld


def hold_question(run: ClaimedRun, withheld: Withheld, *, owner: str) -> list[events.Event] | None:
    """The run waits for a reviewer of its question, without a lease; returns the events that end this attempt.

    None, and nothing has changed: the run is not this worker's any more, or a stop was asked for.
    """
    with transaction.atomic():
        lock_message_cases(run.prompt_id)
        found = Run.objects.select_for_update().filter(pk=run.id, attempt=run.attempt, status=RunStatus.RUNNING)
        row = found.filter(lease_owner=owner, stop_requested_at=None).first()
        if row is None:
            return None
        row.status, row.waiting_for = RunStatus.WAITING, WaitingFor.MODERATION
        row.lease_owner, row.lease_expires_at, row.enqueued_at = "", None, None
        row.checkpoint_epoch, row.checkpoint_seq, row.reasoning_chars, row.reasoning_ms = "", 0, 0, 0
        row.save(
            update_fields=[
                "status", "waiting_for", "lease_owner", "lease_expires_at", "enqueued_at",
                "checkpoint_epoch", "checkpoint_seq", "reasoning_chars", "reasoning_ms",
            ]
        )  # fmt: skip
        Reasoning.objects.filter(run=row).delete()
        Message.objects.filter(pk=run.message_id).update(
            text=Left("text", run.base_chars) if run.base_chars else "", status=MessageStatus.PENDING
        )
        withhold(run, withheld)
        return [events.run_waiting(replace(run, attempt=run.attempt + 1), WaitingFor.MODERATION.value)]


def withdraw_after_end(run: ClaimedRun, finding: Finding, original: str, kept_chars: int) -> bool:
    """Takes the end of an answer away that was complete before its judge was: all from `kept_chars` on, also what
    another run has continued it with. False: none of that is there any more, so only the case is opened.
    """
    with transaction.atomic():
        lock_message_cases(run.message_id)
        # In the order of every end of a run: the run's row, then the message's. The latter without its key: a message
        # that is sent below it at the same time refers to it.
        Run.objects.select_for_update(of=("self",)).filter(message_id=run.message_id, latest=True).first()
        message = Message.objects.select_for_update(no_key=True).filter(pk=run.message_id).first()
        if message is None:
            return False
        if len(message.text) <= kept_chars or not message.text.startswith(original[:kept_chars]):
            open_message_case(run, replace(finding, action=Action.FLAG, notice=""), original, answered=True)
            return False
        whole = message.text if message.text.startswith(original) else original
        withhold(run, Withheld(finding, whole, message.text[:kept_chars]))
        return True

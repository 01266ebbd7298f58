"""Judges of questions read what people entered for calls of tools: arguments that they edited, answers to a tool's
questions, and why they denied a call. An answer that goes on after a person has decided waits for the verdict first.

Rules have read it before it was stored. A judge reads it when every member may have seen it. So what is held or
blocked is taken away from its call, the answer stops, and the event log begins anew without it. Sync; the judging is in
`steps.judging`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db import transaction

from accounts.lib.texts import gettext_noop
from chat.models import CALL_ENDED, CallStatus, Decision, Step, StepKind, ToolCall, ToolDecision
from chat.models.moderation import Action, CaseTarget, Direction, ModerationCase
from chat.models.rewritten import Rewritten
from chat.moderation.cases import NOTICES, Finding, lock_message_cases, open_case, shown_moderation
from chat.moderation.structured import search_json
from chat.runs import step_rows
from chat.runs.clock import database_time
from chat.runs.context import ClaimedRun
from chat.runs.step_rows import CallEnd
from chat.runs.step_texts import blank_calls
from workers.generation.steps.screened_rows import note_on_answer
from workers.generation.steps.screening import ENTERED_WITHHELD

UNCHECKED: Final = gettext_noop("What was entered for a tool could not be checked just now. Please try again soon.")


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person entered for a call."""

    call_id: uuid.UUID
    person_id: uuid.UUID | None
    text: str


def read_entered(steps: Sequence[Step]) -> list[Entered]:
    """What people entered in the last wait of an answer: what they entered before that was judged when it went on."""
    waits = [step.pk for step in steps if step.kind == StepKind.APPROVAL]
    decisions = ToolDecision.objects.filter(step=waits[-1]).select_related("call").order_by("pk") if waits else ()
    found = [Entered(one.call_id, one.by_id, _text(one)) for one in decisions]
    return [one for one in found if one.text.strip()]


def _text(decision: ToolDecision) -> str:
    call = decision.call
    if decision.decision == Decision.DENY:
        return call.reason
    if decision.edited:  # JSON without needless escapes, which would hide its words
        return search_json(lambda _text: (), call.edited_arguments).original
    if decision.answered and call.answers:
        return "\n".join(f"{name}: {value}" for name, value in call.answers[-1].items())
    return ""


def flag_entered(run: ClaimedRun, entered: Entered, finding: Finding) -> bool:
    """Opens a case; nobody notices."""
    with transaction.atomic():
        _case(run, entered, finding)
    return True


def withhold_entered(run: ClaimedRun, owner: str, entered: Entered, finding: Finding) -> str:
    """Takes away what was entered, and what the call was given and returned. The call ends unmade, unless it has ended
    or the run is over. Returns the sentence for readers.
    """
    if not finding.is_worded:
        finding = replace(finding, notice=NOTICES[Action.BLOCK])
    finding = replace(finding, action=Action.BLOCK)
    with transaction.atomic():
        lock_message_cases(run.message_id)
        call = ToolCall.objects.get(pk=entered.call_id)
        if call.status not in CALL_ENDED:
            end = CallEnd(CallStatus.ERROR.value, ENTERED_WITHHELD, len(ENTERED_WITHHELD))
            step_rows.end_call(run, owner, call.pk, end)
        case = _case(run, entered, finding)
        blank_calls(ToolCall.objects.filter(pk=call.pk))
        ToolCall.objects.filter(pk=call.pk).update(output=ENTERED_WITHHELD, output_chars=len(ENTERED_WITHHELD))
        note_on_answer(run, shown_moderation(case))
        Rewritten.objects.update_or_create(message_id=run.message_id, defaults={"rewritten_at": database_time()})
    return case.notice


def _case(run: ClaimedRun, entered: Entered, finding: Finding) -> ModerationCase:
    """As of a refused text. A worker that is lost after it judged leaves one that the next worker finds."""
    target = uuid.uuid5(entered.call_id, f"{entered.person_id} {entered.text}")
    known = ModerationCase.objects.filter(target=CaseTarget.REFUSED, target_id=target, action=finding.action)
    return known.order_by("opened_at").first() or open_case(
        CaseTarget.REFUSED, target, finding, direction=Direction.ASKED, original=entered.text,
        person_id=entered.person_id, conversation_id=run.conversation_id,
    )  # fmt: skip

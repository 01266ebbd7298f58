"""Answers to questions that are withheld only after they were answered: they may repeat what was asked.

The answers to such a question are withheld with it, and later answers of its conversation that have its words as they
were written. Who withholds a question notes them (`judge_answers`); the workers take the notes within seconds
(`chat.moderation.judging`), and `find_withheld_question` is the reason. Each gets a case of its own, which a reviewer
can release. Sync.
"""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import Q

from chat.models import ACTIVE, Message, MessageRole, ModerationCase, Run
from chat.models.moderation import Action, CaseOrigin, CaseTarget, Category
from chat.moderation.cases import REST_WITHHELD, Finding
from chat.runs.unread import judge_later

LEAST_QUOTED: Final = 12  # characters of a question that are no coincidence in an answer
WITHHELD: Final = (Action.HOLD.value, Action.BLOCK.value)


def judge_answers(question: Message) -> None:
    """Notes the answers that may repeat a question, which the caller's transaction has withheld; `question` was read
    before. An answer that is being written is noted at its end.

    After the rewriting: whoever applies a verdict locks the conversation's titles before it changes these notes.
    """
    answers = Message.objects.filter(conversation=question.conversation_id, role=MessageRole.ASSISTANT).exclude(text="")
    repeats = Q(runs__prompt=question.pk)
    if len(quoted := question.text.strip()) >= LEAST_QUOTED:
        repeats |= Q(created_at__gt=question.created_at, text__icontains=quoted)
    for pk in sorted(set(answers.filter(repeats).exclude(runs__status__in=ACTIVE).values_list("pk", flat=True))):
        judge_later(pk)


def find_withheld_question(message_id: uuid.UUID, text: str) -> Finding | None:
    """Why an answer with this text is withheld without asking a judge: what withholds its question, or an earlier one
    whose words it has. None: there is no such question.
    """
    answer = Message.objects.filter(pk=message_id).first()
    if answer is None:
        return None
    asked = Message.objects.filter(conversation=answer.conversation_id, role=MessageRole.USER)
    withheld = asked.filter(moderation__action__in=WITHHELD, created_at__lte=answer.created_at)
    cases = [case_id for one in withheld.values_list("moderation", flat=True) if (case_id := one.get("case_id"))]
    if not cases:
        return None
    # A text that somebody has written in its place answers nothing.
    answered = Run.objects.filter(message=message_id, message__edited_at=None).values_list("prompt", flat=True)
    prompts = set(answered)
    found = ModerationCase.objects.filter(pk__in=cases, target=CaseTarget.MESSAGE)
    for case in found.order_by("-opened_at"):
        quoted = case.original.strip()
        if case.target_id in prompts or (len(quoted) >= LEAST_QUOTED and quoted.casefold() in text.casefold()):
            return _finding(case)
    return None


def _finding(case: ModerationCase) -> Finding:
    action = Action(case.action)
    if action not in REST_WITHHELD:  # a reviewer withheld it after it was flagged
        action = Action.BLOCK
    return Finding(
        CaseOrigin(case.origin), action, Category(case.category), case.severity, REST_WITHHELD[action],
        ({"question": str(case.target_id), "name": next((str(one.get("name", "")) for one in case.rules), "")},),
    )  # fmt: skip

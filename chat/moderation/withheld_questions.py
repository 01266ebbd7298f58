"""Answers to questions that are withheld only after they were answered: they may repeat what was asked.

The answers to such a question are withheld with it, and later answers of its conversation that have its words as they
were written, in the text or in the thinking; also one that is thinking only, because it was stopped before its first
word. Who withholds a question notes them (`judge_answers`); the workers take the notes within seconds
(`chat.moderation.judging`), and `find_withheld_question` is the reason. Each gets a case of its own, which a reviewer
can release. Sync.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Final

from django.db.models import Exists, OuterRef, Q

from chat.models import ACTIVE, Message, MessageRole, ModerationCase, Reasoning, Run
from chat.models.moderation import Action, CaseOrigin, CaseTarget, Category
from chat.moderation.cases import REST_WITHHELD, Finding
from chat.runs.unread import judge_later, says_something

LEAST_QUOTED: Final = 12  # characters of a question that are no coincidence in an answer
WITHHELD: Final = (Action.HOLD.value, Action.BLOCK.value)


def judge_answers(question: Message) -> None:
    """Notes the answers that may repeat a question, which the caller's transaction has withheld; `question` was read
    before. An answer that is being written is noted at its end.

    After the rewriting: whoever applies a verdict locks the conversation's titles before it changes these notes.
    """
    answers = Message.objects.filter(conversation=question.conversation_id, role=MessageRole.ASSISTANT)
    answers = answers.filter(says_something())
    repeats = Q(runs__prompt=question.pk)
    if len(quoted := question.text.strip()) >= LEAST_QUOTED:
        thoughts = Reasoning.objects.filter(run__message=OuterRef("pk"), text__icontains=quoted)
        repeats |= Q(created_at__gt=question.created_at) & (Q(text__icontains=quoted) | Q(Exists(thoughts)))
    for pk in sorted(set(answers.filter(repeats).exclude(runs__status__in=ACTIVE).values_list("pk", flat=True))):
        judge_later(pk)


def find_withheld_question(message_id: uuid.UUID, text: str) -> Finding | None:
    """Why an answer with this text is withheld without asking a judge: what withholds its question, or an earlier one
    whose words it or its thinking has. None: there is no such question.

    A text that somebody has written in place of the answer answers nothing, and the thinking is not about it
    (`does_thinking_repeat`).
    """
    answer = Message.objects.filter(pk=message_id).first()
    if answer is None:
        return None
    prompts: set[uuid.UUID] = set()
    if answer.edited_at is None:
        prompts, text = _prompts(message_id), f"{text}\n{thinking_of(message_id)}"
    return next((_finding(case) for case in _cases_before(answer) if _is_repeated(case, prompts, text)), None)


def does_thinking_repeat(message_id: uuid.UUID) -> bool:
    """Whether what a model thought for an answer, which a person has edited since, may repeat a withheld question."""
    answer = Message.objects.filter(pk=message_id).exclude(edited_at=None).first()
    thinking = thinking_of(message_id) if answer is not None else ""
    if answer is None or not thinking:
        return False
    prompts = _prompts(message_id)
    return any(_is_repeated(case, prompts, thinking) for case in _cases_before(answer))


def thinking_of(message_id: uuid.UUID) -> str:
    """What the model thought for an answer, in all runs that wrote it."""
    found = Reasoning.objects.filter(run__message=message_id).order_by("run__part")
    return "\n\n".join(found.values_list("text", flat=True))


def _prompts(message_id: uuid.UUID) -> set[uuid.UUID]:
    return set(Run.objects.filter(message=message_id).values_list("prompt", flat=True))


def _cases_before(answer: Message) -> list[ModerationCase]:
    """The cases of the withheld questions of the conversation that are older than an answer, the newest first."""
    asked = Message.objects.filter(conversation=answer.conversation_id, role=MessageRole.USER)
    withheld = asked.filter(moderation__action__in=WITHHELD, created_at__lte=answer.created_at)
    cases = [case_id for one in withheld.values_list("moderation", flat=True) if (case_id := one.get("case_id"))]
    if not cases:
        return []
    found = ModerationCase.objects.filter(pk__in=cases, target=CaseTarget.MESSAGE)
    return list(found.order_by("-opened_at"))


def _is_repeated(case: ModerationCase, prompts: Collection[uuid.UUID], text: str) -> bool:
    """Whether an answer to the questions `prompts` with this text repeats the question of a case."""
    quoted = case.original.strip()
    return case.target_id in prompts or (len(quoted) >= LEAST_QUOTED and quoted.casefold() in text.casefold())


def _finding(case: ModerationCase) -> Finding:
    action = Action(case.action)
    if action not in REST_WITHHELD:  # a reviewer withheld it after it was flagged
        action = Action.BLOCK
    return Finding(
        CaseOrigin(case.origin), action, Category(case.category), case.severity, REST_WITHHELD[action],
        ({"question": str(case.target_id), "name": next((str(one.get("name", "")) for one in case.rules), "")},),
    )  # fmt: skip

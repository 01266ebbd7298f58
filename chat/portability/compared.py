"""Answers side by side in an import: the comparison of their question, and a run for each of them.

The run says which model answered and at which place. It was no work of this site: nobody asked for it here, it has no
attempt and no usage, and staff's figures do not count it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.utils import timezone

from accounts.lib.ids import uuid7
from chat.models import Comparison, Message, MessageRole, Run, RunStatus
from chat.portability.formats import ImportedConversation, ImportedMessage
from chat.portability.message_tree import clean_text

SIZES: Final = range(2, 5)
MAX_MODEL: Final = 200  # characters of a model's name


def make_comparisons(imported: ImportedConversation, rows: Mapping[str, Message]) -> tuple[list[Comparison], list[Run]]:
    """The rows of a conversation's comparisons. `rows` are its messages by their ids in the file.

    A comparison that cannot be is left out: its answers are ordinary versions then. It needs two answers with text at
    places of their own and the names of their models; and no answer may have messages below it while none
    is chosen.
    """
    below: dict[str | None, list[ImportedMessage]] = {}
    for message in imported.messages:
        below.setdefault(message.parent, []).append(message)
    comparisons, runs = [], []
    for question in imported.messages:
        answers = [one for one in below.get(question.id, ()) if one.slot and one.role == MessageRole.ASSISTANT]
        if not _can_be(question, answers, continued={one.id for one in answers if one.id in below}):
            continue
        assert question.comparison is not None
        chosen = question.comparison.chosen
        comparisons.append(
            Comparison(prompt=rows[question.id], size=question.comparison.size, chosen=rows[chosen] if chosen else None)
        )
        runs += [_run(rows[question.id], rows[answer.id], answer) for answer in answers]
        if imported.tip == question.id:  # its first answer has no text, and is left out
            rows[question.id].conversation.tip_id = rows[chosen or answers[0].id].pk
    return comparisons, runs


def _can_be(question: ImportedMessage, answers: Sequence[ImportedMessage], *, continued: set[str]) -> bool:
    compared = question.comparison
    if compared is None or question.role != MessageRole.USER or compared.size not in SIZES:
        return False
    slots = {answer.slot for answer in answers}
    if len(slots) < SIZES.start or not slots <= set(range(1, compared.size + 1)):
        return False
    if not all(0 < len(_model(answer)) <= MAX_MODEL for answer in answers):
        return False
    if compared.chosen is None:
        return not continued
    return compared.chosen in {answer.id for answer in answers}


def _run(prompt: Message, row: Message, answer: ImportedMessage) -> Run:
    at = min(row.created_at, timezone.now())
    return Run(
        id=uuid7(), conversation=row.conversation, prompt=prompt, message=row, model=_model(answer), slot=answer.slot,
        status=RunStatus.DONE, created_at=at, finished_at=at, ended_in_log=True,
    )  # fmt: skip


def _model(answer: ImportedMessage) -> str:
    return clean_text(answer.model).strip()

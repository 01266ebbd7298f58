"""Several models answer one question side by side: their rows, and which answer a conversation goes on with."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils.translation import gettext as _

from chat.catalog.access import choose_model
from chat.models import ACTIVE, Comparison, Message, MessageStatus, Run, RunStatus
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend, NewTurn
from chat.protocol.errors import Busy, Invalid


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer that a conversation goes on with after a comparison."""

    prompt_id: uuid.UUID
    message_id: uuid.UUID
    model: str


def compared_models(command: NewTurn) -> Sequence[str] | None:
    """The models that a command compares; None if it asks one model only. Raises `Invalid`."""
    if isinstance(command, MessageRegenerate) or command.models is None:
        return None
    if isinstance(command, MessageSend) and command.model:
        raise Invalid(_("A message can have a model or several models, not both."))
    if len(set(command.models)) < len(command.models):
        raise Invalid(_("Choose different models to compare."))
    return command.models


def models_of(user_id: uuid.UUID, command: NewTurn, usual: str, named: str = "") -> list[str]:
    """The models that answer a command, in the order of their places. `usual` is the conversation's own, or empty;
    `named` is the one that the message itself names, which goes before the one that the command has.

    Raises as `choose_model` does.
    """
    if compared := compared_models(command):
        return [choose_model(user_id, name) for name in compared]
    chosen = None if isinstance(command, MessageEdit) else command.model
    return [choose_model(user_id, named or chosen, usual)]


def insert_comparison(prompt: Message, answers: Sequence[Message], runs: Sequence[Run]) -> Comparison:
    """Writes the rows of a comparison whose first answer and run are written already. The times of the others follow
    those of the first: they are of the database's clock.
    """
    first = answers[0].created_at
    for number, (answer, run) in enumerate(zip(answers, runs, strict=True)):
        answer.created_at = first + timedelta(microseconds=number)
        run.created_at = first
        run.enqueued_at = first if run.status == RunStatus.QUEUED else None
    comparison = Comparison.objects.create(prompt=prompt, size=len(runs))
    Message.objects.bulk_create(answers[1:])
    Run.objects.bulk_create(runs[1:])
    return comparison


def latest_answers(prompt_id: uuid.UUID) -> list[Run]:
    """The run of the newest answer at each place of a comparison, with its message."""
    runs = Run.objects.select_related("message").filter(prompt=prompt_id, slot__gt=0, latest=True)
    return list({run.slot: run for run in runs.order_by("slot", "message__created_at")}.values())


def choose_by_sending(prompt_id: uuid.UUID, wanted_id: uuid.UUID | None) -> Choice | None:
    """Chooses the answer that a new message follows: `wanted_id`, else the first that is complete, else the first with
    text, else the first. The caller has locked the conversation.

    None if an answer is chosen already. Raises `Busy` while one of the answers is in progress.
    """
    comparison = Comparison.objects.filter(pk=prompt_id, chosen=None).first()
    if comparison is None:
        return None
    if Run.objects.filter(prompt=prompt_id, status__in=ACTIVE).exists():
        raise Busy
    run = preferred(prompt_id) if wanted_id is None else Run.objects.get(message=wanted_id, latest=True)
    return mark_chosen(comparison, run)


def preferred(prompt_id: uuid.UUID) -> Run:
    """Of answers side by side the first that is complete, else the first with text, else the first."""
    answers = latest_answers(prompt_id)
    with_text = [run for run in answers if run.message.text.strip()]
    complete = [run for run in with_text if run.message.status == MessageStatus.COMPLETE]
    return (complete or with_text or answers)[0]


def mark_chosen(comparison: Comparison, run: Run) -> Choice:
    """Stores that the conversation goes on with this run's answer."""
    comparison.chosen_id = run.message_id
    comparison.save(update_fields=["chosen"])
    return Choice(comparison.pk, run.message_id, run.model)


def place_of_retry(answer: Message) -> tuple[int, str]:
    """Where another answer to the same question goes: its place among answers side by side, and the model of the
    answer there. (0, "") where it is an ordinary version. The caller has locked the conversation.

    While none is chosen, each place has an answer in progress of its own. Raises `Busy`.
    """
    active = Run.objects.filter(prompt=answer.parent_id, status__in=ACTIVE)
    slot, model = 0, ""
    if is_open(answer.parent_id):
        slot, model = Run.objects.filter(message=answer.pk, latest=True).values_list("slot", "model").get()
        active = active.filter(slot=slot)
    if active.exists():
        raise Busy
    return slot, model


def is_open(prompt_id: uuid.UUID | None) -> bool:
    """Whether a question is answered side by side and none of the answers is chosen yet."""
    return Comparison.objects.filter(pk=prompt_id, chosen=None).exists()

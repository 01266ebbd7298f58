"""`answer.choose`: a conversation goes on with one of several answers side by side, and the others stop."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from accounts.lib.db import in_db
from accounts.lib.texts import gettext_noop
from chat.conversations.member_branches import keep_branches
from chat.conversations.membership import member_of
from chat.eventlog import events, store
from chat.models import ACTIVE, Comparison, Conversation, Message, MessageRole, Run
from chat.protocol.errors import Conflict, Invalid, NotFound
from chat.turns import stop
from chat.turns.comparing import Choice, mark_chosen

ALREADY: Final = gettext_noop("Another answer was chosen already. Switch to this one with the arrows below the answer.")
NOT_COMPARED: Final = gettext_noop("Only one of several answers side by side can be chosen.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice that stands. `others`: the runs of the other answers that were in progress when it was made."""

    conversation_id: uuid.UUID
    choice: Choice
    others: list[uuid.UUID]


async def choose(user_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Goes on with an answer and stops those beside it. May be repeated: the first choice stands.

    Raises `ChatError`s, `Conflict` when another answer was chosen before; and one of `OUTAGE` if PostgreSQL or Redis is
    away.
    """
    chosen = await in_db(accept_choice, user_id, message_id)
    stopped = [await in_db(stop.mark_stopped, run_id) for run_id in chosen.others]
    # Announced again when repeated: the process that stored the choice may have ended before it announced it.
    event = events.answer_chosen(chosen.conversation_id, chosen.choice)
    await store.append(store.Append(chosen.conversation_id, [event]))
    for one in stopped:
        await stop.notify_stopped(one)


def accept_choice(user_id: uuid.UUID, message_id: uuid.UUID) -> Chosen:
    """Stores a choice. Any member who may write can choose. Raises `ChatError`s."""
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member_of(user_id, conversation_id, write=True)
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().filter(pk=conversation_id).first()
        message = Message.objects.filter(pk=message_id, role=MessageRole.ASSISTANT).first()
        comparison = Comparison.objects.filter(pk=message.parent_id).first() if message else None
        run = Run.objects.filter(message=message_id, slot__gt=0, latest=True).first()
        if conversation is None or comparison is None or run is None:
            raise Invalid(NOT_COMPARED)
        others: list[uuid.UUID] = []
        if comparison.chosen_id is None:
            choice = mark_chosen(comparison, run)
            beside = Run.objects.filter(prompt=comparison.pk, status__in=ACTIVE).exclude(message=message_id)
            others = list(beside.values_list("pk", flat=True))
            answers = Message.objects.filter(parent=comparison.pk).values_list("pk", flat=True)
            keep_branches(conversation_id, user_id, answers)
            conversation.tip_id, conversation.model = run.message_id, run.model
            conversation.save(update_fields=["tip", "model"])
        elif comparison.chosen_id == message_id:
            choice = Choice(comparison.pk, message_id, run.model)
        else:
            raise Conflict(ALREADY)
    return Chosen(conversation_id, choice, others)

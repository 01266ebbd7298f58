"""Whether a message asks the model: as its sender says, else by the conversation's rule."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection

from accounts.lib.texts import gettext_noop
from chat.models import ACTIVE, Answers, Conversation, MessageStatus, Run
from chat.models.conversations import usual_rule
from chat.protocol.commands import MessageEdit, MessageSend
from chat.protocol.errors import Busy
from chat.turns.mentioning import read_mentions
from chat.turns.mentions import ANY_MODEL, Found

SEVERAL: Final = gettext_noop("Several answers are still in progress. Wait for them to finish, or choose one.")

# The nearest answer above a message, through messages that asked nobody.
_ANSWER_ABOVE: Final = """
WITH RECURSIVE up(parent_id, role, status) AS (
    SELECT parent_id, role, status FROM chat_message WHERE id = %s
    UNION ALL
    SELECT m.parent_id, m.role, m.status FROM up JOIN chat_message m ON m.id = up.parent_id WHERE up.role = 'user'
)
SELECT status FROM up WHERE role = 'assistant'
"""


@dataclass(frozen=True, slots=True)
class Asks:
    """Whether a message asks a model, and the model that its text names; empty: the usual one."""

    anybody: bool
    model: str = ""


def asks_in_new_conversation(command: MessageSend) -> Asks:
    """A new conversation has one member, and so its model answers, unless the command asks nobody."""
    return Asks(command.ask is not False)


def asks_in(user_id: uuid.UUID, command: MessageSend, conversation_id: uuid.UUID, answers: str, members: int) -> Asks:
    """Whether a message in this conversation of so many members asks. `answers` is the rule that was chosen, or empty.

    A message to several models asks them.
    """
    if command.ask is False:
        return Asks(False)
    rule = answers or usual_rule(members)
    named: Sequence[Found] = ()
    if members > 1 or rule == Answers.MENTIONED:
        named = [one for one in read_mentions(user_id, conversation_id, command.text) if one.model]
    anybody = bool(command.ask or command.models or named) or rule == Answers.ALWAYS
    model = next((one.model for one in named if one.model != ANY_MODEL), "")
    return Asks(anybody, "" if command.models else model)


def edit_asks(user_id: uuid.UUID, command: MessageEdit, conversation: Conversation) -> bool:
    """Whether an edited message asks: as the command says, else if it asked before, else by the conversation's rule."""
    if command.ask is not None:
        return command.ask
    if command.models or Run.objects.filter(prompt=command.message_id).exists():
        return True
    if conversation.rule == Answers.ALWAYS:
        return True
    return any(one.model for one in read_mentions(user_id, conversation.pk, command.text))


def check_answer_above(message_id: uuid.UUID | None) -> None:
    """Raises `Busy` while the answer that a question would follow is in progress, also if people wrote in between."""
    if message_id is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_ANSWER_ABOVE, [message_id])
        row = cursor.fetchone()
    if row is not None and row[0] in (MessageStatus.PENDING, MessageStatus.STREAMING):
        raise Busy


def answer_under_way(prompt_id: uuid.UUID) -> uuid.UUID:
    """The answer that is being written to a question: what people write meanwhile follows it. The caller has locked the
    conversation. Raises `Busy` while there are several side by side: nobody knows which one the conversation follows.
    """
    active = list(Run.objects.filter(prompt=prompt_id, status__in=ACTIVE).values_list("message", "slot"))
    if any(slot for _, slot in active):
        raise Busy(SEVERAL)
    answer: uuid.UUID = active[0][0]
    return answer

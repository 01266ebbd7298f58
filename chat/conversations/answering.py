"""Which messages of a conversation the model answers: every one, or those that mention it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from chat.conversations.membership import WRITERS, member_of
from chat.conversations.publishing import publish_setting
from chat.models import Answers, Conversation, Member
from chat.models.conversations import usual_rule
from chat.protocol.errors import Invalid


def change_rule(user_id: uuid.UUID, conversation_id: uuid.UUID, answers: str) -> dict[str, Any]:
    """Chooses the rule for all members, or with "" goes back to the usual one; tells every open tab.

    Owners and editors may. It counts from the next message on. Returns what `describe_rule` does. Raises `NotFound`,
    `Forbidden`, `Invalid`.
    """
    if answers not in ("", *Answers.values):
        raise Invalid(_("Choose whether the model answers every message, or those that mention it."))
    with transaction.atomic():
        member = member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        conversation.answers = answers
        conversation.save(update_fields=["answers"])
    publish_setting(conversation, "answers")
    return describe_rule(conversation, member)


def describe_rule(conversation: Conversation, member: Member) -> dict[str, Any]:
    """The rule that is in force, the one that was chosen (None: the usual one), the usual one, and whether this member
    may change it.
    """
    usual = usual_rule(Member.objects.filter(conversation=conversation).count())
    return {
        "answers": conversation.answers or usual,
        "chosen": conversation.answers or None,
        "usual": usual,
        "may_change": member.role in WRITERS,
    }

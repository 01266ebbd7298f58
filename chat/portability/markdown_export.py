"""One conversation as a Markdown file, for reading. An import does not read it."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from chat.conversations.branches import path_ids
from chat.eventlog.payloads import finish_note
from chat.models import Member, Message, MessageRole, MessageStatus

MAX_PATH: Final = 100_000  # messages
UNFINISHED: Final = (MessageStatus.STOPPED, MessageStatus.FAILED, MessageStatus.INTERRUPTED)


def to_markdown(member: Member) -> str:
    """The path to the newest message. Each heading names the author or the model."""
    conversation = member.conversation
    ids = path_ids(conversation.pk, conversation.tip_id, limit=MAX_PATH)
    messages = Message.objects.select_related("author", "run").in_bulk(ids)
    parts = [f"# {conversation.title or _('Conversation')}"]
    for message in (messages[pk] for pk in ids if pk in messages):
        text = message.text.strip()
        if message.status in UNFINISHED:
            text += f"\n\n*({_('not finished')})*"
        elif hasattr(message, "run") and (note := finish_note(message.run.finish)):
            text += f"\n\n*({note})*"
        parts += [f"## {_speaker(message)}", text]
    return "\n\n".join(part for part in parts if part) + "\n"


def _speaker(message: Message) -> str:
    if message.role == MessageRole.USER:
        return message.author.display_name if message.author else str(_("Somebody"))
    return message.run.model if hasattr(message, "run") else str(_("Answer"))

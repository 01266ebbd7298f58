"""One conversation as a Markdown file, for reading. An import does not read it."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from chat.conversations.branches import path_ids
from chat.eventlog.payloads import finish_note
from chat.models import Member, Message, MessageRole, MessageStatus, Run

MAX_PATH: Final = 100_000  # messages
UNFINISHED: Final = (MessageStatus.STOPPED, MessageStatus.FAILED, MessageStatus.INTERRUPTED)


def to_markdown(member: Member) -> str:
    """The path to the newest message. Each heading names the author or the model."""
    conversation = member.conversation
    ids = path_ids(conversation.pk, conversation.tip_id, limit=MAX_PATH)
    messages = Message.objects.select_related("author").in_bulk(ids)
    runs = {run.message_id: run for run in Run.objects.filter(conversation=conversation, latest=True)}
    parts = [f"# {conversation.title or _('Conversation')}"]
    for message in (messages[pk] for pk in ids if pk in messages):
        text = message.text.strip()
        if message.status in UNFINISHED:
            text += f"\n\n*({_('not finished')})*"
        elif message.pk in runs and (note := finish_note(runs[message.pk].finish)):
            text += f"\n\n*({note})*"
        parts += [f"## {_speaker(message, runs.get(message.pk))}", text]
    return "\n\n".join(part for part in parts if part) + "\n"


def _speaker(message: Message, run: Run | None) -> str:
    if message.role == MessageRole.USER:
        return message.author.display_name if message.author else str(_("Somebody"))
    return run.model if run else str(_("Answer"))

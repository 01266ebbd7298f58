"""Titles of conversations: the start of the first message, then the one that a model writes (`TITLE_MODEL`)."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from chat.conversations.branches import path_ids
from chat.conversations.changing import notify_members
from chat.models import Conversation, Message, MessageRole, Run, RunStatus
from chat.models.conversations import TITLE_LENGTH, title_from

__all__ = ["MAX_WORDS", "TITLE_LENGTH", "FirstExchange", "clean_title", "find_untitled", "replace_title", "title_from"]

MAX_WORDS: Final = 6
MAX_QUESTIONS: Final = 50  # messages before the first answer

_LABEL: Final = re.compile(r"(?:chat |conversation )?title\s*[:：]\s*", re.IGNORECASE)
_MARKS: Final = "\"'`*_#“”„‟‘’‚«»‹›「」『』《》【】()[]"


@dataclass(frozen=True, slots=True)
class FirstExchange:
    """The first question of a conversation and the start of its answer, each cut to `chars` characters, and the title
    made of the question's words.
    """

    title: str
    question: str
    answer: str
    chars: int


def find_untitled(message_id: uuid.UUID, *, chars: int) -> FirstExchange | None:
    """The exchange to name a conversation after, each text cut to `chars` characters; None unless the message is the
    first answer of its branch and the title is still made of the words of the first message. What several people wrote
    before the first answer is the question. Temporary chats keep their title.
    """
    found = (
        Message.objects.filter(pk=message_id, conversation__temporary=False)
        .exclude(parent=None)
        .values_list("conversation", "conversation__title", "parent", "text")
        .first()
    )
    if found is None:
        return None
    conversation_id, title, parent_id, answer = found
    path = path_ids(conversation_id, parent_id, limit=MAX_QUESTIONS + 1)
    before = Message.objects.in_bulk(path)
    asked = [before[one] for one in path if before[one].role == MessageRole.USER]
    if len(asked) < len(path) or len(path) > MAX_QUESTIONS:
        return None
    if not answer.strip() or title != title_from(asked[0].text) or _names_another(message_id):
        return None
    question = "\n\n".join(one.text for one in asked if one.text)
    return FirstExchange(title, question[:chars], answer[:chars], chars)


def _names_another(message_id: uuid.UUID) -> bool:
    """Whether another answer beside this one was complete before it, and so names the conversation."""
    run = Run.objects.filter(message=message_id, slot__gt=0, latest=True).first()
    if run is None or run.finished_at is None:
        return False
    beside = Run.objects.filter(prompt=run.prompt_id, status=RunStatus.DONE, finished_at__lt=run.finished_at)
    return beside.exclude(message__text="").exclude(message=message_id).exists()


def clean_title(said: str) -> str:
    """A title from what a model said: its first line without marks, labels and quotes, at most `MAX_WORDS` words and
    `TITLE_LENGTH` characters. Empty when there is none.
    """
    plain = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") and one != "\n" else one for one in said)
    line = next((line for line in plain.split("\n") if line.strip(_MARKS + " -")), "")
    line = _LABEL.sub("", line.strip(_MARKS + " -"), count=1).strip(_MARKS + " -")
    title = " ".join(line.split()[:MAX_WORDS]).rstrip(" .,;:。、，")
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"


def replace_title(conversation_id: uuid.UUID, message_id: uuid.UUID, named: FirstExchange, title: str) -> bool:
    """Gives a conversation the title that a model made of the answer `message_id`, and notifies its members; False if
    it was renamed or deleted meanwhile, or a text that the title was made of was changed or withheld.
    """
    with transaction.atomic():
        path = path_ids(conversation_id, message_id, limit=MAX_QUESTIONS + 2)
        list(
            Message.objects.select_for_update(no_key=True, of=("self",))
            .filter(pk__in=path)
            .order_by("pk")
            .values_list("pk")
        )
        if find_untitled(message_id, chars=named.chars) != named:
            return False
        changed = Conversation.objects.filter(pk=conversation_id, title=named.title, deleted_at=None).update(
            title=title, written_title=title
        )
    if changed:
        notify_members(Conversation.objects.get(pk=conversation_id), renamed=True)
    return bool(changed)

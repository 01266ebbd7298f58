"""What the page of a case shows of texts: only to whoever may read cases, and the caller records each reading."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from chat.conversations.branches import path_ids
from chat.models import Conversation, Message
from chat.models.moderation import CaseTarget, ModerationCase
from chat.review.effects import places, places_in_reasoning

AROUND: Final = 3  # messages beside the target
MOST_SHOWN: Final = 20_000  # characters of the original
MOST_AROUND: Final = 2_000  # of each message around it


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `marked` where a rule or judge found something."""

    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """A message beside the target. `place` is "before" or "after"."""

    role: str
    author: str
    text: str
    place: str


def pieces(case: ModerationCase) -> list[Piece]:
    """The original in parts, cut after `MOST_SHOWN` characters."""
    return mark(case.original[:MOST_SHOWN], places(case))


def pieces_of_reasoning(case: ModerationCase) -> list[Piece]:
    """The same of what the model thought; empty if nothing of that was withheld."""
    return mark(case.original_reasoning[:MOST_SHOWN], places_in_reasoning(case))


def mark(text: str, spans: Iterable[tuple[int, int]]) -> list[Piece]:
    """`text` in parts, those of the spans marked. Spans may overlap; what lies beyond the text is left out."""
    found: list[Piece] = []
    done = 0
    for start, end in _merged(spans):
        if start >= len(text):
            break
        if start > done:
            found.append(Piece(text[done:start]))
        found.append(Piece(text[start:end], marked=True))
        done = min(end, len(text))
    if done < len(text):
        found.append(Piece(text[done:]))
    return found


def around(case: ModerationCase) -> list[Around]:
    """Up to three messages beside the target: the one after it, and as many before it as there is room for.

    For a message that was refused, the last ones of its conversation. Empty if the conversation is gone or deleted.
    """
    if case.conversation_id is None or case.target not in (CaseTarget.MESSAGE, CaseTarget.REFUSED):
        return []
    after: list[Message] = []
    if case.target == CaseTarget.MESSAGE:
        ids = path_ids(case.conversation_id, case.target_id, limit=AROUND + 1)[:-1]
        following = Message.objects.filter(parent_id=case.target_id, conversation=case.conversation_id)
        after = list(following.select_related("author").order_by("created_at")[:1])
    else:
        ids = path_ids(case.conversation_id, _tip(case.conversation_id), limit=AROUND)
    found = Message.objects.select_related("author").in_bulk(ids)
    before = [found[pk] for pk in ids if pk in found][-(AROUND - len(after)) :]
    return [*_shown(before, "before"), *_shown(after, "after")]


def _tip(conversation_id: uuid.UUID) -> uuid.UUID | None:
    return Conversation.objects.filter(pk=conversation_id).values_list("tip_id", flat=True).first()


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _shown(messages: Sequence[Message], place: str) -> list[Around]:
    return [
        Around(
            message.role,
            _author(message),
            message.text[:MOST_AROUND],
            place,
        )
        for message in messages
    ]


def _author(message: Message) -> str:
    if message.author:
        return message.author.display_name
    return _("Answer") if message.role == "assistant" else _("Erased")

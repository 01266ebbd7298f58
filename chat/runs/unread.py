"""Notes texts that no judge has read (`Unjudged`): the workers take these rows and have them judged
(`chat.moderation.judging`). Sync; each a part of the caller's transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from chat.models import Message, MessageRole, Reasoning, Unjudged
from chat.models.moderation import CaseTarget, DecisionKind, ModerationDecision


def says_something() -> Q:
    """The messages with a text, or with what the model thought before it wrote one."""
    return ~Q(text="") | Q(Exists(Reasoning.objects.filter(run__message=OuterRef("pk"))))


def judge_later(message_id: uuid.UUID) -> None:
    """Notes that judges have to read the text that a message has now."""
    now = timezone.now()
    Unjudged.objects.update_or_create(message_id=message_id, defaults={"created_at": now, "next_try_at": now})


def note_unread(message_ids: Iterable[uuid.UUID]) -> None:
    """`judge_later` for those that have a text or thinking, but for questions that a reviewer has released: they have
    read it.
    """
    texts = Message.objects.filter(says_something(), pk__in=list(message_ids), deleted_at=None)
    for pk, role in texts.values_list("pk", "role"):
        if role != MessageRole.USER or not _is_released(pk):
            judge_later(pk)


def note_being_read(message_id: uuid.UUID, seconds: float) -> datetime | None:
    """Notes a text that its worker is still having judged: others take it after so many seconds, unless the note is
    deleted before (`note_read`). Returns what names the note; None if there is one already, which stays, now due.
    """
    now = timezone.now()
    later = now + timedelta(seconds=seconds)
    _, made = Unjudged.objects.get_or_create(message_id=message_id, defaults={"created_at": now, "next_try_at": later})
    if made:
        return now
    judge_later(message_id)
    return None


def note_read(message_id: uuid.UUID, noted_at: datetime) -> None:
    """The text needs no verdict any more; a later one of the same message does."""
    Unjudged.objects.filter(message_id=message_id, created_at=noted_at).delete()


def _is_released(message_id: uuid.UUID) -> bool:
    if Message.objects.filter(pk=message_id, moderation__action="release").exists():
        return True
    decisions = ModerationDecision.objects.filter(case__target=CaseTarget.MESSAGE, case__target_id=message_id)
    last = decisions.order_by("-decided_at").values_list("kind", flat=True).first()
    return last == DecisionKind.RELEASE

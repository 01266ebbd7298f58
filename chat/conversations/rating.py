"""What members think of answers: one rating of each member and answer, for staff and for the member alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast, JSONArray
from django.utils import timezone

from accounts.lib.texts import gettext_noop
from chat.conversations.membership import member_of
from chat.eventlog.user_events import notify_user
from chat.models import Message, MessageRole, MessageStatus, Rating, Run
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Busy, Invalid, NotFound

ANSWERS_ONLY: Final = gettext_noop("Only answers can be rated.")
WRITING: Final = gettext_noop("This answer is still being written. Rate it when it has ended.")
DELETED: Final = gettext_noop("This message was deleted.")


@dataclass(frozen=True, slots=True)
class Rated:
    """A member's rating of an answer as it is now. `value` 0: there is none."""

    user_id: uuid.UUID
    conversation_id: uuid.UUID
    message_id: uuid.UUID
    value: int

    @property
    def frame(self) -> dict[str, Any]:
        """The notice for the member's open pages."""
        return {
            "type": "message.rated",
            "conversation_id": str(self.conversation_id),
            "message_id": str(self.message_id),
            "value": self.value,
        }


def rate(user_id: uuid.UUID, message_id: uuid.UUID, value: int, note: str = "") -> Rated:
    """Rates an answer (1 or -1), changes the rating, or takes it back (0). Any member can, also a viewer.

    Raises `NotFound`, `Invalid` for what is no answer, and `Busy` while it is being written.
    """
    row = Message.objects.filter(pk=message_id).only("conversation_id", "role", "status", "deleted_at").first()
    if row is None:
        raise NotFound
    member_of(user_id, row.conversation_id)
    if row.role != MessageRole.ASSISTANT:
        raise Invalid(ANSWERS_ONLY)
    if row.status in (MessageStatus.PENDING, MessageStatus.STREAMING):
        raise Busy(WRITING)
    if value == 0:
        Rating.objects.filter(message_id=message_id, user_id=user_id).delete()
    elif row.deleted_at is not None:
        raise Invalid(DELETED)
    else:
        model = Run.objects.filter(message_id=message_id, latest=True).values_list("model", flat=True).first() or ""
        # One statement, so that two tabs of one person make no second row.
        Rating.objects.bulk_create(
            [
                Rating(
                    message_id=message_id, user_id=user_id, value=value, note=clean_controls(note).strip(),
                    model=model, rated_at=timezone.now(),
                )
            ],
            update_conflicts=True, unique_fields=["message", "user"], update_fields=["value", "note", "rated_at"],
        )  # fmt: skip
    return Rated(user_id, row.conversation_id, message_id, value)


def rating_pairs(user_id: uuid.UUID, conversation_id: uuid.UUID) -> QuerySet[Any, Any]:
    """The user's own ratings in a conversation: pairs of the answer's id, as text, and the value."""
    rows = Rating.objects.filter(user_id=user_id, message__conversation=conversation_id)
    pair = JSONArray(Cast("message_id", CharField()), "value")
    return rows.values_list(pair, flat=True)


async def notify_rated(rated: Rated) -> None:
    """Shows the rating on the user's open pages."""
    await notify_user(rated.user_id, rated.frame)

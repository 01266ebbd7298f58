"""Where a new message belongs in its conversation."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from chat.eventlog import events
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend

AnyTurn = MessageSend | MessageEdit | MessageRegenerate
TITLE_LENGTH: Final = 60


@dataclass(slots=True)
class Accepted:
    """What a command made (or had made before, when `duplicate`)."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID  # the user's message; of a regeneration, the new answer
    run_id: uuid.UUID
    duplicate: bool
    announcement: list[events.Event] = field(default_factory=list)
    members: list[uuid.UUID] = field(default_factory=list)
    listing: dict[str, Any] = field(default_factory=dict)


def title_from(text: str) -> str:
    """A conversation's first title: the start of its first message, cut between words."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"

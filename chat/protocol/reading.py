"""The commands of who reads a conversation (docs/protocol.md). No Django, no I/O."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec

from chat.protocol.base import Command
from chat.protocol.limits import MAX_RATING_NOTE


class BranchView(Command, frozen=True, tag="branch.view"):
    """The user looks at the branch with this message, to its newest end."""

    message_id: uuid.UUID


class MessageRate(Command, frozen=True, tag="message.rate"):
    """Rates an answer: 1 is good, -1 is bad, 0 takes the rating back. `note` is the reason."""

    message_id: uuid.UUID
    value: Literal[1, -1, 0]
    note: Annotated[str, msgspec.Meta(max_length=MAX_RATING_NOTE)] | None = None


class Seen(Command, frozen=True, tag="seen"):
    """The user has read up to this message."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID


class Visible(Command, frozen=True, tag="visible"):
    """Whether somebody can see this client: while one of a user's is seen, they get no browser notifications."""

    visible: bool


AnyReadingCommand = BranchView | MessageRate | Seen | Visible

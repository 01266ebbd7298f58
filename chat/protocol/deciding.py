"""The command that decides about a call of a tool. No Django, no I/O."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from chat.protocol.base import Command


class ToolDecide(Command, frozen=True, tag="tool.decide"):
    """Allows a call that waits, or denies it. `answer`: to the question of its tool. `arguments`: with these instead of
    the model's, a JSON object or its text. `reason`: why it is denied, which the model and the members read.
    """

    run_id: uuid.UUID
    call_id: uuid.UUID
    decision: Literal["once", "conversation", "always", "deny"]
    answer: dict[str, Any] | None = None
    arguments: str | dict[str, Any] | None = None
    reason: str | None = None

"""What a command may ask for its answer, or a new conversation from its first message on. No Django, no I/O."""

from __future__ import annotations

import uuid
from typing import Annotated, Final, Literal, get_args

import msgspec

from chat.protocol.limits import MAX_COLLECTIONS, MAX_TOOL_NAME, MAX_TOOLS

Effort = Literal["none", "low", "medium", "high"]
EFFORTS: Final = get_args(Effort)
ToolName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOOL_NAME)]
ChosenTools = Annotated[list[ToolName], msgspec.Meta(max_length=MAX_TOOLS)]
ChosenCollections = Annotated[list[uuid.UUID], msgspec.Meta(max_length=MAX_COLLECTIONS)]


class TurnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the model should answer this once, or from a new conversation's first message on. None is: as the
    conversation says. `chat.protocol.parameters` has the bounds.
    """

    web_search: bool | None = None  # whether models may search the web; of a new conversation only
    temperature: float | None = None
    max_tokens: int | None = None  # the longest answer
    effort: Effort | None = None  # how much it thinks
    system_prompt: str | None = None  # of a new conversation only
    tools: ChosenTools | None = None  # that it may call, as `OfferedTool.key`; empty: none
    collections: ChosenCollections | None = None  # that answers are looked up in; of a new conversation only

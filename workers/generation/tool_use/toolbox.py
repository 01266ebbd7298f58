"""The tools of one answer, as the loop needs them. `workers.tools.registry` finds them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from workers.providers.base import ToolSpec
from workers.tools import registry
from workers.tools.base import Tool


@dataclass(frozen=True, slots=True)
class ToolWish:
    """Whose answer it is, what was chosen for it (None: what is on by default), the question, and whether the answer
    goes on after a wait or a lost worker.
    """

    user_id: uuid.UUID
    conversation_id: uuid.UUID
    chosen: Sequence[str] | None
    web_search: bool
    question: str
    goes_on: bool = False


class Toolbox(Protocol):
    """`tools` is by the name that the model calls; `instructions` go into the system prompt."""

    @property
    def tools(self) -> Mapping[str, Tool]: ...
    @property
    def specs(self) -> list[ToolSpec]: ...
    @property
    def instructions(self) -> str: ...


FindTools = Callable[[ToolWish], Awaitable[Toolbox]]
"""Raises a database error."""


@dataclass(frozen=True, slots=True)
class EmptyToolbox:
    """There are no tools."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    specs: list[ToolSpec] = field(default_factory=list)
    instructions: str = ""


NO_TOOLBOX: Final[Toolbox] = EmptyToolbox()


async def find_tools(wish: ToolWish) -> Toolbox:
    """The tools that the person may use and that are on in the conversation."""
    wanted = registry.Wanted(
        wish.user_id, wish.conversation_id, wish.chosen, wish.web_search, wish.question, goes_on=wish.goes_on
    )
    return await registry.find_tools(wanted)


async def find_no_tools(wish: ToolWish) -> Toolbox:
    return NO_TOOLBOX

"""The tools of one answer, as the loop needs them. `workers.tools.registry` finds them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from workers.providers.base import ToolSpec
from workers.tools.base import Tool
from workers.tools.registry import Wanted


class Toolbox(Protocol):
    """`tools` is by the name that the model calls; `instructions` go into the system prompt."""

    @property
    def tools(self) -> Mapping[str, Tool]: ...
    @property
    def specs(self) -> list[ToolSpec]: ...
    @property
    def instructions(self) -> str: ...


FindTools = Callable[[Wanted], Awaitable[Toolbox]]
"""Raises a database error."""


@dataclass(frozen=True, slots=True)
class EmptyToolbox:
    """There are no tools."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    specs: list[ToolSpec] = field(default_factory=list)
    instructions: str = ""


NO_TOOLBOX: Final[Toolbox] = EmptyToolbox()


async def find_no_tools(wanted: Wanted) -> Toolbox:
    return NO_TOOLBOX

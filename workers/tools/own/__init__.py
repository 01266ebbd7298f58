"""Tools of our own, one in each file. A new one is added to the list here."""

from __future__ import annotations

from typing import Final

from workers.tools.own import (
    ask_person,
    calculate,
    current_time,
    make_file,
    read_page,
    search_conversations,
    search_web,
)  # fmt: skip
from workers.tools.own_tool import OwnTool

OWN_TOOLS: Final[tuple[OwnTool, ...]] = (
    current_time.TOOL,
    calculate.TOOL,
    search_conversations.TOOL,
    search_web.TOOL,
    read_page.TOOL,
    ask_person.TOOL,
    make_file.TOOL,
)

"""Tools of our own, one in each file. A new one is added to the list here."""

from __future__ import annotations

from typing import Final

from workers.tools.own import current_time
from workers.tools.own_tool import OwnTool

OWN_TOOLS: Final[tuple[OwnTool, ...]] = (current_time.TOOL,)

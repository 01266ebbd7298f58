"""The tools of tool servers."""

from __future__ import annotations

import uuid

from workers.tools.base import Tool


async def server_tools(user_id: uuid.UUID) -> list[Tool]:
    """The tools of the servers that a user may use, from what is stored: nothing is asked over the network."""
    return []

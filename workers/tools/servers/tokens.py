"""A person's access token for a server."""

from __future__ import annotations

import uuid

from workers.tools.base import ToolError
from workers.tools.servers.stored import StoredServer


async def access_token(server: StoredServer, user_id: uuid.UUID | None, *, refused: str = "") -> str:
    """The token to send; empty: none is needed."""
    if not server.personal:
        return ""
    raise ToolError(f"Connect to {server.title} first, under Settings, My connections.")


async def mark_expired(server: StoredServer, user_id: uuid.UUID | None, error: str) -> None:
    """Marks a connection as ended."""

"""The text of a server's prompt, filled in by the server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from accounts.lib.texts import gettext_noop
from workers.tools.base import QuestionAskedError, ToolError
from workers.tools.servers.calling import in_session
from workers.tools.servers.pool import load_client
from workers.tools.servers.stored import StoredServer

if TYPE_CHECKING:
    from workers.tools.servers.mcp_client.session import McpSession

PROMPT_SECONDS: Final = 20.0  # less than a page waits for a worker


async def fetch_prompt(server: StoredServer, user_id: uuid.UUID, name: str, arguments: Mapping[str, str]) -> str:
    """A prompt as text for a message, asked for with this person's log-in. Raises `ToolError`."""
    if server.trouble:
        raise ToolError(server.trouble, {"server": server.title})
    results = await load_client("results")

    async def fetch(session: McpSession) -> str:
        seconds = min(PROMPT_SECONDS, server.timeout)
        found = await session.request(lambda client: client.get_prompt(name, dict(arguments)), seconds=seconds)
        text: str = results.convert_prompt(found)
        return text

    try:
        text = await in_session(server, user_id, time.monotonic() + PROMPT_SECONDS, fetch)
    except QuestionAskedError:
        raise ToolError(
            gettext_noop("%(server)s asked a question instead of giving the prompt."), {"server": server.title}
        ) from None
    if not text:
        raise ToolError(gettext_noop("%(server)s gave a prompt without text."), {"server": server.title})
    return text

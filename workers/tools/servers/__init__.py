"""The tools of tool servers (MCP, OpenAPI): what is stored of them, their client, and people's log-ins at them."""

from __future__ import annotations

import uuid

from accounts.lib.db import in_db
from chat.catalog.tool_servers import servers_of_id
from workers.tools.base import Tool
from workers.tools.servers.stored import read_server, usable_tools
from workers.tools.servers.tool import ServerTool


async def server_tools(user_id: uuid.UUID) -> list[Tool]:
    """The tools of the servers that a user may use, from what is stored: nothing is asked over the network."""
    return await in_db(_read_tools, user_id)


def _read_tools(user_id: uuid.UUID) -> list[Tool]:
    servers = {row.slug: read_server(row) for row in servers_of_id(user_id)}
    return [ServerTool(row, servers[row.server]) for row in usable_tools(servers)]

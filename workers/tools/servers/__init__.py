"""The tools of tool servers (MCP, OpenAPI): what is stored of them, their client, and people's log-ins at them."""

from __future__ import annotations

from collections.abc import Iterable

from chat.models import ToolServer
from workers.tools.base import Tool
from workers.tools.servers.stored import read_server, usable_tools
from workers.tools.servers.tool import ServerTool


def read_tools(rows: Iterable[ToolServer]) -> list[Tool]:
    """The tools of these servers, from what is stored: nothing is asked over the network."""
    servers = {row.slug: read_server(row) for row in rows}
    return [ServerTool(row, servers[row.server]) for row in usable_tools(servers)]

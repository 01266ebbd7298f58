"""A tool of a server, from what is stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from chat.models import KnownTool, ServerKind
from workers.tools.base import Approval, Effect, ToolContext, ToolError, ToolResult
from workers.tools.servers.calling import call_tool
from workers.tools.servers.openapi.calling import call_operation
from workers.tools.servers.stored import StoredServer, StoredTool


class ServerTool:
    """A `Tool`. Its calls read their server's tokens; everything else was read with it."""

    def __init__(self, row: KnownTool, server: StoredServer) -> None:
        self.stored = StoredTool(server, row.name, row.upstream_name or row.name, row.effect, row.recipe)
        self.name = row.name
        self.title = row.title
        self.description = f"{row.description}\n(From {server.title}.)" if row.description else f"From {server.title}."
        self.parameters: Mapping[str, Any] = row.parameters
        self.server = row.server
        self.effect = cast("Effect", row.effect)
        self.approval = cast("Approval", row.approval)
        self.outside = row.outside

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Makes one call. Raises `ToolError` and `QuestionAskedError`."""
        home = self.stored.home
        if home.trouble:
            raise ToolError(home.trouble, {"server": home.title})
        if home.kind == ServerKind.OPENAPI:
            return await call_operation(self.stored, arguments, context)
        return await call_tool(self.stored, arguments, context)

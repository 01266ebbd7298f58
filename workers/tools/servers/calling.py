"""One call of a tool of an MCP server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from accounts.lib.texts import gettext_noop
from workers.tools.base import ToolContext, ToolError, ToolResult
from workers.tools.servers.listing import shorten
from workers.tools.servers.pool import load_client, session_pool
from workers.tools.servers.refresh import refresh_soon
from workers.tools.servers.stored import StoredServer, StoredTool
from workers.tools.servers.tokens import access_token, mark_expired

if TYPE_CHECKING:
    from workers.tools.servers.mcp_client.session import McpSession

T = TypeVar("T")
logger = structlog.get_logger(__name__)


async def call_tool(tool: StoredTool, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    """The result. Where the server says that it did nothing (it has forgotten the session, or does not accept the
    token any more), the call is made once more. Raises `ToolError` and `QuestionAskedError`.
    """

    async def call(session: McpSession) -> ToolResult:
        return await _make_call(tool, arguments, context, session)

    return await in_session(tool.home, context.user_id, context.deadline, call)


async def in_session(
    server: StoredServer, user_id: uuid.UUID | None, deadline: float, work: Callable[[McpSession], Awaitable[T]]
) -> T:
    """What `work` returns in a session with the server; with another session once more, where the server did nothing.
    `deadline` is in seconds of the monotonic clock. Raises `ToolError`, and what `work` raises.
    """
    failures = await load_client("failures")
    refused = ""
    for last in (False, True):
        seconds = min(server.timeout, deadline - time.monotonic())
        if seconds <= 0:
            raise ToolError(gettext_noop("There was no time left to call %(server)s."), {"server": server.title})
        token = await access_token(server, user_id, refused=refused)
        try:
            async with session_pool().borrow(server, user_id, token, seconds, fresh=last) as session:
                try:
                    result = await work(session)
                finally:  # also where the call failed, or waits for a person now and its session is left
                    if session.list_changed:
                        session.list_changed = False
                        refresh_soon(server.id)
        except failures.NotLoggedInError as error:
            if last or not server.personal:
                raise await _not_logged_in(server, user_id, error, token) from None
            refused = token
        except failures.SessionGoneError:
            if last:
                raise
        else:
            return result
    raise AssertionError


async def _make_call(
    tool: StoredTool, arguments: Mapping[str, Any], context: ToolContext, session: McpSession
) -> ToolResult:
    def report(sentence: str) -> None:
        context.report(shorten(sentence, 200))

    seconds = max(0.1, min(tool.home.timeout, context.deadline - time.monotonic()))
    results = await load_client("results")
    try:
        if tool.recipe.get("kind") == "resource":
            read = await _read_resource(arguments, session, seconds, results, tool.home.title)
            return replace(read, text=tool.home.mask(read.text, session.auth.token))
        result = await session.call(
            tool.upstream_name, arguments, seconds=seconds, key=str(context.call_id), answers=context.answers,
            report=report,
        )  # fmt: skip
    except ToolError as error:
        uncertain = error.uncertain and tool.effect == "writes"
        logger.warning(
            "tool_server_call_failed", server=tool.home.slug, tool=tool.name, uncertain=uncertain, detail=error.detail
        )
        error.uncertain = uncertain
        error.sentence = tool.home.mask(error.sentence, session.auth.token)
        raise
    converted: ToolResult = results.convert_result(result, tool.home.title)
    return replace(converted, text=tool.home.mask(converted.text, session.auth.token))


async def _read_resource(
    arguments: Mapping[str, Any], session: McpSession, seconds: float, results: Any, title: str
) -> ToolResult:
    uri = arguments.get("uri")
    if not isinstance(uri, str) or not 0 < len(uri) <= 2000:
        raise ToolError("Give the URI of the resource as uri.")
    read = await session.request(lambda client: client.read_resource(uri), seconds=seconds)
    converted: ToolResult = results.convert_resources(read, title)
    return converted


async def _not_logged_in(server: StoredServer, user_id: uuid.UUID | None, error: Any, token: str) -> ToolError:
    """What the person reads; a person's connection is marked as ended, unless only this is forbidden to them."""
    title = server.title
    if not server.personal:
        return ToolError(
            gettext_noop("%(server)s did not accept its credentials. Please tell an administrator."),
            {"server": title},
            detail=error.detail,
        )
    if error.forbidden:
        return ToolError(
            gettext_noop("%(server)s does not allow this with your log-in."), {"server": title}, detail=error.detail
        )
    await mark_expired(server, user_id, token)
    return ToolError(
        gettext_noop("%(server)s has ended your log-in. Connect again under Settings, My connections."),
        {"server": title},
        detail=error.detail,
    )

"""What an MCP server offers, in a bounded number of pages: tools, resources (one tool reads them) and prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mcp.client.client import Client

from workers.tools.base import ToolError
from workers.tools.servers.listing import MAX_NOTES, Listing, Offered, clean, shorten, tidy
from workers.tools.servers.mcp_client.session import McpSession

MAX_PAGES: Final = 20
MAX_PROMPTS: Final = 50
MAX_PROMPT_ARGUMENTS: Final = 20
MAX_RESOURCES_NAMED: Final = 40
PAGE_SECONDS: Final = 20.0
RESOURCES: Final = "resources/read"  # no server's tool: the upstream name of the tool that reads resources


async def list_server(session: McpSession, known: dict[str, str]) -> Listing:
    """What the server offers. `known` has the names of its tools by their upstream names. Raises `ToolError`."""
    client = session.client
    capabilities = client.server_capabilities
    notes: list[str] = []
    offered: list[Offered] = []
    if capabilities.tools is not None:
        offered = [_offered(tool) for tool in await _pages(session, _tools, "tools", notes)]
    if capabilities.resources is not None and (reader := await _resource_tool(session, notes)):
        offered.append(reader)
    prompts: list[dict[str, Any]] = []
    if capabilities.prompts is not None:
        prompts = [_prompt(one) for one in (await _optional(session, _prompts, "prompts", notes))[:MAX_PROMPTS]]
    tools, skipped = await asyncio.to_thread(tidy, offered, known)  # many large schemas take a second
    info = client.server_info
    version = shorten(f"{info.name} {info.version}", 200) if info is not None else ""
    notes += [*session.skipped, *skipped]
    return Listing(tools, notes[:MAX_NOTES], prompts, client.protocol_version, version)


async def _pages(session: McpSession, fetch: Callable[[Client, str | None], Any], key: str, notes: list[str]) -> Any:
    found: list[Any] = []
    cursor: str | None = None
    cursors: set[str] = set()
    for _ in range(MAX_PAGES):
        at = cursor
        page = await session.request(lambda client, at=at: fetch(client, at), seconds=PAGE_SECONDS)  # type: ignore[misc]
        found += getattr(page, key)
        cursor = page.next_cursor
        if not cursor:
            return found
        if cursor in cursors:
            notes.append(f"Its list of {key} goes in a circle: it was read once.")
            return found
        cursors.add(cursor)
    notes.append(f"Its list of {key} has more than {MAX_PAGES} pages: the others were not read.")
    return found


async def _optional(session: McpSession, fetch: Callable[[Client, str | None], Any], key: str, notes: list[str]) -> Any:
    """A list that the tools do not depend on."""
    try:
        return await _pages(session, fetch, key, notes)
    except ToolError as error:
        if not session.usable:
            raise
        notes.append(f"Its {key.replace('_', ' ')} could not be listed: {error.sentence}")
        return []


def _tools(client: Client, cursor: str | None) -> Any:
    return client.list_tools(cursor=cursor)


def _prompts(client: Client, cursor: str | None) -> Any:
    return client.list_prompts(cursor=cursor)


def _resources(client: Client, cursor: str | None) -> Any:
    return client.list_resources(cursor=cursor)


def _templates(client: Client, cursor: str | None) -> Any:
    return client.list_resource_templates(cursor=cursor)


def _offered(tool: Any) -> Offered:
    hints = tool.annotations
    title = tool.title or (hints.title if hints else None) or tool.name
    reads = bool(hints and hints.read_only_hint)
    return Offered(tool.name, title, tool.description or "", tool.input_schema, reads)


async def _resource_tool(session: McpSession, notes: list[str]) -> Offered | None:
    """One tool for all resources; None: there are none. It names some of them, and says nothing else about them."""
    resources = await _optional(session, _resources, "resources", notes)
    templates = await _optional(session, _templates, "resource_templates", notes)
    named = [f"{shorten(one.title or one.name, 80)}: {shorten(one.uri, 200)}" for one in resources]
    named += [f"{shorten(one.title or one.name, 80)}: {shorten(one.uri_template, 200)}" for one in templates]
    if not named:
        return None
    more = [f"and {len(named) - MAX_RESOURCES_NAMED} more"] if len(named) > MAX_RESOURCES_NAMED else []
    lines = "\n".join(f"- {line}" for line in named[:MAX_RESOURCES_NAMED] + more)
    description = f"Reads a resource of {session.server.title} by its URI. Resources and templates:\n{lines}"
    uri = {"type": "string", "description": "The URI of the resource."}
    schema = {"type": "object", "properties": {"uri": uri}, "required": ["uri"]}
    title = f"Read a resource of {session.server.title}"
    return Offered(RESOURCES, title, description, schema, True, {"kind": "resource"})


def _prompt(prompt: Any) -> dict[str, Any]:
    arguments = [
        {"name": one.name, "description": clean(one.description or "", 300), "required": bool(one.required)}
        for one in (prompt.arguments or [])
        if one.name == clean(one.name, 100)
    ][:MAX_PROMPT_ARGUMENTS]
    return {
        "name": clean(prompt.name, 100),
        "title": clean(prompt.title or prompt.name, 100),
        "description": clean(prompt.description or "", 500),
        "arguments": arguments,
    }

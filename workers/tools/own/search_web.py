"""The tool `search_web`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from workers.tools.base import ToolContext, ToolResult
from workers.tools.own_tool import own_tool
from workers.tools.search.service import search


@dataclass(frozen=True, slots=True)
class SearchWeb:
    """Searches the web. The results have titles, addresses and short passages.

    Read the pages that matter with read_page before you rely on them. Cite results by their numbers, such as [1].
    """

    query: Annotated[str, Meta(description="As one would type it into a search engine.", min_length=1, max_length=400)]

    async def run(self, context: ToolContext) -> ToolResult:
        query = " ".join(self.query.split())
        context.report(f"Searching for “{query[:100]}”")
        found, provider = await search(query)
        cost = provider.price or None
        if not found:
            return ToolResult("Nothing was found. Use other words.", queries=[query], cost=cost)
        text = "\n\n".join(f"{one.title}\n{one.url}\n{one.passage}".rstrip() for one in found)
        return ToolResult(text, sources=found, queries=[query], cost=cost)


TOOL: Final = own_tool(SearchWeb, title="Search the web", outside=True)

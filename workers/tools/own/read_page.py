"""The tool `read_page`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from django.db.models import Q
from msgspec import Meta

from accounts.lib.db import in_db
from chat.models import CallStatus, ToolCall
from workers.tools.base import Source, ToolContext, ToolError, ToolResult
from workers.tools.fetching import Fetched, FetchRequest, fetch
from workers.tools.own_tool import own_tool
from workers.tools.pages import Page, find_main_text

MAX_PAGES: Final = 5  # of one answer
PART_CHARS: Final = 20_000
PASSAGE_CHARS: Final = 600
TEXT_TYPES: Final = ("text/*", "application/json", "application/xml", "application/xhtml+xml", "application/ld+json",
                     "application/rss+xml", "application/atom+xml")  # fmt: skip
_PAGES: Final = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Reads a web page and gives its main text. Up to five pages can be read for one answer.

    Cite a page by its number, such as [1].
    """

    url: Annotated[str, Meta(description="The whole address, with https://.", min_length=1, max_length=4000)]
    part: Annotated[int, Meta(description="Which part of a long page, from 1.", ge=1, le=50)] = 1

    async def run(self, context: ToolContext) -> ToolResult:
        if self.part == 1 and await in_db(count_pages, context) >= MAX_PAGES:
            raise ToolError(f"{MAX_PAGES} pages have been read for this answer, and no more can be. Answer with those.")
        host = urlsplit(self.url).hostname if "://" in self.url else ""
        context.report(f"Reading {host or 'a page'}")
        fetched = await fetch(FetchRequest(self.url, types=TEXT_TYPES, cut=True))
        if fetched.status >= 400:
            raise ToolError(f"The server has no page there for us (HTTP {fetched.status}).")
        page = await read(fetched)
        part, parts = part_of(page.text, self.part)
        if not part.strip():
            raise ToolError("The page has no text. It may need JavaScript, or a login.")
        title = page.title or urlsplit(fetched.url).hostname or fetched.url
        notes = [f"{title}", fetched.url]
        if parts > 1:
            notes.append(f"Part {self.part} of {parts}.")
        if fetched.cut:
            notes.append("The page is very long: its end was not fetched.")
        source = Source(title, fetched.url, " ".join(part[: PASSAGE_CHARS * 2].split())[:PASSAGE_CHARS])
        return ToolResult("\n".join(notes) + "\n\n" + part, sources=[source])


async def read(fetched: Fetched) -> Page:
    """The title and the text of what was fetched. Raises `ToolError`."""
    if b"\x00" in fetched.body[:4096] and not fetched.charset.lower().startswith("utf-16"):
        raise ToolError("The address has binary content, not a page.")
    if fetched.media_type in _PAGES:
        return await find_main_text(fetched.text, fetched.url)
    return Page("", fetched.text)


def part_of(text: str, number: int) -> tuple[str, int]:
    """A part of a text, and how many parts it has. Raises `ToolError` for one that it has not."""
    parts = max(1, -(-len(text) // PART_CHARS))
    if number > parts:
        raise ToolError(f"The page has only {parts} part{'s' if parts > 1 else ''}.")
    return text[(number - 1) * PART_CHARS : number * PART_CHARS], parts


def count_pages(context: ToolContext) -> int:
    """How many pages were read for the answer, or are being read by calls that began before this one."""
    calls = ToolCall.objects.filter(run_id=context.run_id, server="", name=TOOL.name).exclude(pk=context.call_id)
    done = Q(status=CallStatus.OK)
    return calls.filter(done | Q(status=CallStatus.RUNNING, pk__lt=context.call_id)).count()


TOOL: Final = own_tool(ReadPage, title="Read a page", outside=True)

"""The tool `search_conversations`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Annotated, Final

from msgspec import Meta

from accounts.lib.db import QueryTimeoutError, in_db
from chat.models import MessageRole, Run
from chat.models.moderation import Direction
from chat.moderation.answers import screen_written
from chat.search.any_words import FoundText, search_for_readers
from workers.tools.base import ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool


@dataclass(frozen=True, slots=True)
class SearchConversations:
    """Searches the person's other conversations on this site, and the files in them and in this one, for example for
    what they decided or asked before, or for a page of a long file.

    In a conversation of several people it finds only what all of them may read.
    """

    query: Annotated[
        str,
        Meta(
            description="A few words that the messages or files have. They are not searched by meaning.", max_length=200
        ),
    ]
    count: Annotated[int, Meta(description="How many messages at most.", ge=1, le=20)] = 8

    async def run(self, context: ToolContext) -> ToolResult:
        if context.user_id is None:
            raise ToolError("There is nobody whose conversations could be searched.")
        try:
            found = await in_db(_search, context.user_id, context, self.query, self.count)
        except QueryTimeoutError:
            raise ToolError("The search took too long. Use fewer or longer words.") from None
        if not found:
            return ToolResult("Nothing has these words.", queries=[self.query])
        lines = [
            f"In “{one.title or 'Untitled'}”, {one.written_at:%Y-%m-%d}, {_who(one)}:\n{one.passage}" for one in found
        ]
        return ToolResult("\n\n".join(lines), queries=[self.query])


def _search(user_id: uuid.UUID, context: ToolContext, query: str, count: int) -> list[FoundText]:
    """What is found; of files without what rules for files mask, and nothing that they hold or block."""
    found = search_for_readers(user_id, context.conversation_id, query, count)
    if not any(one.file for one in found):
        return found
    model = Run.objects.filter(pk=context.run_id).values_list("model", flat=True).first() or ""
    kept = []
    for one in found:
        passage = screen_written(one.passage, user_id, model, Direction.FILES) if one.file else one.passage
        kept += [replace(one, passage=passage)] if passage else []
    return kept


def _who(found: FoundText) -> str:
    if found.file:
        return f"the file {found.file}"
    return "a model answered" if found.role == MessageRole.ASSISTANT else "somebody wrote"


TOOL: Final = own_tool(SearchConversations, title="Search my conversations", outside=True)

"""Searches in what a user's conversations say."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db.models import F, Value
from django.db.models.functions import Concat, Left

from accounts.lib.db import statement_timeout
from chat.conversations.membership import conversations_of
from chat.models import Member, Message, MessageRole

SEARCH_SECONDS: Final = 5.0
SEARCHED_CHARS: Final = 100_000  # of a message; PostgreSQL indexes no texts without a limit
MAX_WORDS: Final = 20
PASSAGE_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message that fits a search. `passage` is the part of its text around the first word that was found."""

    conversation_id: uuid.UUID
    title: str
    role: str
    written_at: datetime
    passage: str


def search_messages(user_id: uuid.UUID, asked_in: uuid.UUID, query: str, count: int) -> list[FoundMessage]:
    """Messages of the user's other conversations that have words of the query, those with the most of them first.

    Everybody who can read the conversation in which it is asked reads what is found. So where it has other members,
    only conversations are searched of which all of them are members. Temporary and deleted ones are not searched, and
    neither are deleted messages. Raises `accounts.lib.db.QueryTimeoutError`.
    """
    words = re.findall(r"\w+", query)[:MAX_WORDS]
    readers = list(Member.objects.filter(conversation_id=asked_in).values_list("user_id", flat=True))
    if not words or user_id not in readers:
        return []
    searched = conversations_of(user_id).exclude(pk=asked_in).order_by()
    for reader in readers:
        if reader != user_id:
            searched = searched.filter(pk__in=Member.objects.filter(user_id=reader).values("conversation_id"))
    wanted = SearchQuery(" | ".join(f"{word}:*" for word in words), search_type="raw", config="simple")
    text = Concat(F("conversation__title"), Value(" "), Left("text", SEARCHED_CHARS))
    found = (
        Message.objects.filter(conversation__in=searched.values("pk"), deleted_at=None)
        .exclude(text="")
        .annotate(vector=SearchVector(text, config="simple"))
        .filter(vector=wanted)
        .annotate(rank=SearchRank(F("vector"), wanted))
        .order_by("-rank", "-created_at")
        .values_list("conversation_id", "conversation__title", "role", "created_at", "text")
    )
    with statement_timeout(SEARCH_SECONDS):
        rows = list(found[:count])
    return [FoundMessage(where, title, role, at, passage_of(text, words)) for where, title, role, at, text in rows]


def passage_of(text: str, words: list[str]) -> str:
    """The part of a text around the first of the words, or its beginning."""
    line = " ".join(text.split())
    match = re.search("|".join(re.escape(word) for word in words), line, re.IGNORECASE)
    start = max(0, (match.start() if match else 0) - PASSAGE_CHARS // 3)
    passage = line[start : start + PASSAGE_CHARS]
    return ("…" if start else "") + passage + ("…" if start + PASSAGE_CHARS < len(line) else "")


def is_answer(found: FoundMessage) -> bool:
    """Whether a model wrote it."""
    return found.role == MessageRole.ASSISTANT

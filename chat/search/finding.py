"""Finds conversations by their titles and messages by their texts, among what a user may read.

Found is what is in the user's conversations now: not in the trash, not temporary, not one that they were removed from.
A member reads a conversation from its first message, also what was written before they joined, so that is found too.
Deleted and withheld messages are not in the index.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from accounts.lib.db import QueryTimeoutError, statement_timeout
from accounts.models import User
from chat.conversations.membership import member_of
from chat.models import Message
from chat.search.passages import Piece, has_all_runs, near_words, pieces_of, pieces_of_message
from chat.search.queries import MAX_TYPO_KEYS, Query, read_query
from chat.search.sql import KEY_CHARS

SEARCH_SECONDS: Final = 3.0
TYPO_SECONDS: Final = 1.5  # for words with a typing error; after that there is what fits to the letter
TITLES: Final = 10
MESSAGES: Final = 40
OF_ONE: Final = 3  # messages of one conversation
FEW: Final = 2_000  # hits that are looked at one by one; of more, the newest conversations are gone through
ENOUGH: Final = 5  # hits; with fewer, words with a typing error are searched too
IN_ONE: Final = 500  # places in one conversation


@dataclass(frozen=True, slots=True)
class Filters:
    """What is searched. `scope`: "mine" (the user owns it) or "shared" (others own it); empty: both."""

    scope: str = ""
    model: str = ""  # the conversation's, or of an answer in it
    since: datetime | None = None  # of messages; of titles, when the conversation was last active
    until: datetime | None = None
    has_files: bool = False
    archived: bool = False  # only archived conversations; else the others too
    read_by: Sequence[uuid.UUID] = ()  # only conversations of which all of these users are members
    other_than: uuid.UUID | None = None  # not this conversation


@dataclass(frozen=True, slots=True)
class FoundTitle:
    conversation_id: uuid.UUID
    pieces: list[Piece]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FoundMessage:
    message_id: uuid.UUID
    conversation_id: uuid.UUID
    title: str
    role: str
    author: str  # empty for an answer
    written_at: datetime
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class Found:
    """`is_similar`: nothing fits to the letter; found are words with one typing error."""

    titles: list[FoundTitle] = field(default_factory=list)
    messages: list[FoundMessage] = field(default_factory=list)
    is_similar: bool = False


def search(user_id: uuid.UUID, text: str, filters: Filters | None = None) -> Found:
    """Titles first, then messages, both the newest first. Raises `accounts.lib.db.QueryTimeoutError`."""
    query = read_query(text)
    if not query:
        return Found()
    with statement_timeout(SEARCH_SECONDS):
        mine = Mine(user_id, filters or Filters())
        found = _search(mine, query, query.condition(), query.condition(mine.keys), similar=False)
        if len(found.titles) + len(found.messages) >= ENOUGH or not (typos := query.similar()):
            return found
        keys = mine.keys[:MAX_TYPO_KEYS]
        try:
            with statement_timeout(TYPO_SECONDS):
                more = _search(mine, query, typos, query.similar(keys), similar=True)
        except QueryTimeoutError:
            return found
        known = {one.conversation_id for one in found.titles}, {one.message_id for one in found.messages}
        return Found(
            [*found.titles, *(one for one in more.titles if one.conversation_id not in known[0])][:TITLES],
            [*found.messages, *(one for one in more.messages if one.message_id not in known[1])][:MESSAGES],
            is_similar=not (found.titles or found.messages),
        )


def search_in(user_id: uuid.UUID, conversation_id: uuid.UUID, text: str) -> list[uuid.UUID]:
    """The messages of a conversation, on all its branches, that have the words: the oldest first, up to `IN_ONE`.

    Raises `NotFound` and `accounts.lib.db.QueryTimeoutError`.
    """
    member_of(user_id, conversation_id)
    query = read_query(text)
    if not query:
        return []
    with statement_timeout(SEARCH_SECONDS), connection.cursor() as cursor:
        cursor.execute("SELECT home FROM chat_conversationwords WHERE conversation_id = %s", [conversation_id])
        row = cursor.fetchone()
        key = str(row[0])[-KEY_CHARS:] if row and row[0] else ""
        cursor.execute(_IN_ONE, {"conversation": conversation_id, "query": query.condition([key]), "most": IN_ONE})
        ids = [one for (one,) in cursor.fetchall()]
    texts = Message.objects.in_bulk(ids) if any(word.unspaced for word in query.words) else None
    return [one for one in ids if texts is None or has_all_runs(texts[one].text, query.words)]


class Mine:
    """The user's conversations that the filters leave, as a part of a statement, and the keys of their messages."""

    def __init__(self, user_id: uuid.UUID, filters: Filters) -> None:
        self.user_id = user_id
        conditions = ["m.user_id = %(user)s", "c.deleted_at IS NULL", "NOT c.temporary"]
        if filters.scope in ("mine", "shared"):
            conditions.append("m.role = 'owner'" if filters.scope == "mine" else "m.role <> 'owner'")
        if filters.model:
            conditions.append(
                "(c.model = %(model)s OR EXISTS (SELECT FROM chat_run r WHERE r.conversation_id = c.id"
                " AND r.model = %(model)s))"
            )
        if filters.has_files:
            conditions.append("EXISTS (SELECT FROM chat_toolfile f WHERE f.conversation_id = c.id)")
        if filters.read_by:
            conditions.append(
                "(SELECT count(*) FROM chat_member r WHERE r.conversation_id = c.id AND r.user_id = ANY(%(readers)s))"
                " = %(reader_count)s"
            )
        if filters.other_than:
            conditions.append("c.id <> %(other_than)s")
        if filters.archived:
            conditions.append("m.archived_at IS NOT NULL")
        self.sql = (
            "SELECT c.id, c.title, c.updated_at, w.words FROM chat_member m JOIN chat_conversation c"  # noqa: S608  # parts of statements, no values
            " ON c.id = m.conversation_id LEFT JOIN chat_conversationwords w ON w.conversation_id = c.id WHERE "
            + " AND ".join(conditions)
        )
        self.values: dict[str, Any] = {
            "user": user_id, "model": filters.model, "since": filters.since, "until": filters.until,
            "readers": list(filters.read_by), "reader_count": len(set(filters.read_by)),
            "other_than": filters.other_than,
        }  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(_HOMES, self.values)
            # The user's own key comes first: of typing errors, only those of some keys are searched.
            homes = sorted((home for (home,) in cursor.fetchall()), key=lambda home: home != user_id)
        self.keys = list(dict.fromkeys(str(home)[-KEY_CHARS:] for home in homes)) or [str(user_id)[-KEY_CHARS:]]

    def rows(self, statement: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement.replace("{mine}", self.sql), {**self.values, "query": query, **values})
            return list(cursor.fetchall())


_HOMES: Final = """
SELECT DISTINCT w.home FROM chat_member m JOIN chat_conversationwords w ON w.conversation_id = m.conversation_id
WHERE m.user_id = %(user)s AND w.home IS NOT NULL
"""
_WITHIN: Final = """
    (%(since)s::timestamptz IS NULL OR {at} >= %(since)s) AND (%(until)s::timestamptz IS NULL OR {at} < %(until)s)
"""
_TITLES: Final = f"""
WITH mine AS ({{mine}})
SELECT id, title, updated_at FROM mine WHERE words @@ %(query)s::tsquery AND {_WITHIN.format(at="updated_at")}
ORDER BY updated_at DESC, id DESC LIMIT %(most)s
"""  # noqa: S608  # parts of statements, no values
# All hits, if there are few. The limit ends the reading of rows as soon as there are too many.
HITS: Final = """
SELECT message_id, conversation_id, written_at FROM chat_messagewords WHERE words @@ %(query)s::tsquery LIMIT %(most)s
"""
_OF_FEW: Final = f"""
WITH mine AS MATERIALIZED ({{mine}}), hits AS MATERIALIZED ({HITS}), numbered AS (
    SELECT h.*, row_number() OVER (PARTITION BY conversation_id ORDER BY written_at DESC) AS place
    FROM hits h JOIN mine ON mine.id = h.conversation_id WHERE {_WITHIN.format(at="written_at")}
)
SELECT message_id, (SELECT count(*) FROM hits) FROM numbered WHERE place <= %(of_one)s
ORDER BY written_at DESC, message_id DESC LIMIT %(limit)s
"""  # noqa: S608  # parts of statements, no values
# With many hits, some are soon found in the conversations that were active last. `IS TRUE` keeps the planner from
# reading them all from the index again.
OF_MANY: Final = f"""
WITH mine AS MATERIALIZED ({{mine}})
SELECT h.message_id FROM (SELECT id, updated_at FROM mine ORDER BY updated_at DESC, id DESC) c CROSS JOIN LATERAL (
    SELECT message_id, written_at FROM chat_messagewords w
    WHERE w.conversation_id = c.id AND (w.words @@ %(query)s::tsquery) IS TRUE AND {_WITHIN.format(at="written_at")}
    ORDER BY written_at DESC LIMIT %(of_one)s
) h LIMIT %(limit)s
"""  # noqa: S608  # parts of statements, no values
_COUNT: Final = f"SELECT count(*) FROM ({HITS}) hits"  # noqa: S608  # parts of statements, no values
_IN_ONE: Final = """
SELECT message_id FROM chat_messagewords WHERE conversation_id = %(conversation)s
AND (words @@ %(query)s::tsquery) IS TRUE ORDER BY written_at, message_id LIMIT %(most)s
"""


def _search(mine: Mine, query: Query, in_titles: str, in_texts: str, *, similar: bool) -> Found:
    titles = [
        FoundTitle(pk, pieces_of(title, near_words(title, query.words) if similar else query.words), at)
        for pk, title, at in mine.rows(_TITLES, in_titles, most=TITLES)
    ]
    if query.is_broad:
        return Found(titles)
    return Found(titles, _load(mine, find_ids(mine, in_texts), query, similar=similar))


def count_hits(mine: Mine, condition: str) -> int:
    """How many messages fit, up to `FEW` + 1. The statements that follow in this transaction use the index, too."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a scan of every message is never the quickest way
        cursor.execute("SET LOCAL jit = off")
    [(count,)] = mine.rows(_COUNT, condition, most=FEW + 1)
    return int(count)


def find_ids(mine: Mine, condition: str) -> list[uuid.UUID]:
    """The messages that fit, the newest first."""
    limits = {"of_one": OF_ONE, "limit": MESSAGES}
    count = count_hits(mine, condition)
    if not count:
        return []
    statement = _OF_FEW if count <= FEW else OF_MANY
    return [row[0] for row in mine.rows(statement, condition, most=FEW + 1, **limits)]


def _load(mine: Mine, ids: Sequence[uuid.UUID], query: Query, *, similar: bool) -> list[FoundMessage]:
    """The messages with their texts. The search may have taken seconds: whoever was removed meanwhile gets none."""
    readable = Message.objects.filter(conversation__memberships__user=mine.user_id, conversation__deleted_at=None)
    rows = readable.select_related("author", "conversation").in_bulk(ids)
    found = []
    for one in (rows[pk] for pk in ids if pk in rows):
        if not has_all_runs(one.text, query.words):
            continue
        author: User | None = one.author
        words = near_words(one.text, query.words) if similar else query.words
        found.append(
            FoundMessage(
                one.pk, one.conversation_id, one.conversation.title, one.role,
                one.author_name or (author.display_name if author else ""), one.created_at,
                pieces_of_message(one.text, one.html, words),
            )
        )  # fmt: skip
    return found

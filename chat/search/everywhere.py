"""Finds messages of everybody, or of one person, for staff who may read them. It reads the index that people search, so
deleted and withheld messages are not found; conversations in the trash and temporary ones are.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.backends.utils import CursorWrapper

from accounts.lib.db import statement_timeout
from chat.models import Message
from chat.search.passages import Piece, has_all_runs, pieces_of_message
from chat.search.queries import MAX_TERMS, Query, read_query
from chat.search.sql import KEY_CHARS

SECONDS: Final = 5.0
MOST: Final = 50  # messages that are shown
HITS: Final = 20_000  # of one person that are looked at; of more, these are not the newest ones
COMMON: Final = 2_000  # hits among everybody's messages, from which on the newest ones are looked for in order of time
LOOKED_AT: Final = 20_000  # messages then, the newest
_KEY: Final = "KEY"  # in a template of a condition; words have small letters

_KEYS: Final = f"""
SELECT DISTINCT right(home::text, {KEY_CHARS}) FROM (
    SELECT DISTINCT home FROM chat_conversationwords WHERE home IS NOT NULL
) one LIMIT %(most)s
"""  # noqa: S608  # a constant
_KEYS_OF_ONE: Final = f"""
SELECT DISTINCT right(w.home::text, {KEY_CHARS}) FROM chat_member m
JOIN chat_conversationwords w ON w.conversation_id = m.conversation_id
WHERE m.user_id = %(user)s AND w.home IS NOT NULL LIMIT %(most)s
"""  # noqa: S608  # a constant
# One look-up for each key: one condition with all of them would be compared with every message that has a word of it.
_FIND: Final = f"""
WITH hits AS MATERIALIZED (
    SELECT h.* FROM unnest(%(keys)s::text[]) k (key), LATERAL (
        SELECT message_id, conversation_id, written_at FROM chat_messagewords
        WHERE words @@ replace(%(condition)s, '{_KEY}', k.key)::tsquery
    ) h LIMIT %(hits)s
)
SELECT h.message_id, (SELECT count(*) FROM hits) FROM hits h
WHERE %(user)s::uuid IS NULL OR EXISTS (
    SELECT FROM chat_member m WHERE m.conversation_id = h.conversation_id AND m.user_id = %(user)s
)
ORDER BY h.written_at DESC, h.message_id DESC LIMIT %(most)s
"""  # noqa: S608  # a constant
# Ids are in the order in which messages came here. The condition of each message has the key of its own conversation.
_NEWEST: Final = f"""
SELECT w.message_id FROM (SELECT * FROM chat_messagewords ORDER BY message_id DESC LIMIT %(looked_at)s) w
WHERE w.words @@ replace(%(condition)s, '{_KEY}', (
    SELECT right(c.home::text, {KEY_CHARS}) FROM chat_conversationwords c WHERE c.conversation_id = w.conversation_id
))::tsquery LIMIT %(most)s
"""  # noqa: S608  # constants


class TooManyError(Exception):
    """More people write here than one search can ask for: it has to name a person."""


@dataclass(frozen=True, slots=True)
class FoundAnywhere:
    """`pieces`: a passage with what was found marked. `people`: who wrote it or, of an answer, asked for it."""

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    role: str
    author: str
    written_at: datetime
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class FoundEverywhere:
    """The newest first. `complete` is false where there were so many that the newest may be missing."""

    messages: list[FoundAnywhere] = field(default_factory=list)
    complete: bool = True


def search_everywhere(text: str, user_id: uuid.UUID | None = None) -> FoundEverywhere:
    """Messages that have every word; of the conversations of one user, or of all. Nothing for a single letter.

    Raises `TooManyError`, and `accounts.lib.db.QueryTimeoutError` after `SECONDS`.
    """
    query = read_query(text)
    if not query or query.is_broad:
        return FoundEverywhere()
    with statement_timeout(SECONDS), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = on")
        statement = _KEYS if user_id is None else _KEYS_OF_ONE
        cursor.execute(statement, {"user": user_id, "most": MAX_TERMS + 1})
        keys = [key for (key,) in cursor.fetchall()]
        if len(keys) > MAX_TERMS:
            raise TooManyError
        if not keys:
            return FoundEverywhere()
        cursor.execute("SET LOCAL enable_seqscan = off")  # a scan of every message is never the quickest way
        cursor.execute("SET LOCAL jit = off")
        values = {
            "keys": keys, "condition": query.condition([_KEY]), "user": user_id, "most": MOST,
            "hits": HITS if user_id else COMMON, "looked_at": LOOKED_AT,
        }  # fmt: skip
        ids, complete = _find(cursor, values)
        messages = Message.objects.select_related("author").in_bulk(ids)
    in_order = sorted(messages.values(), key=lambda one: (one.created_at, one.pk), reverse=True)
    return FoundEverywhere(_shown(in_order, query), complete)


def _find(cursor: CursorWrapper, values: Mapping[str, Any]) -> tuple[list[uuid.UUID], bool]:
    """The ids of up to `MOST` hits, and whether these are the newest ones."""
    cursor.execute(_FIND, values)
    rows = cursor.fetchall()
    found = [pk for pk, _count in rows]
    if not rows or rows[0][1] < values["hits"]:
        return found, True
    if values["user"]:
        return found, False
    cursor.execute(_NEWEST, values)
    newest = [pk for (pk,) in cursor.fetchall()]
    return list(dict.fromkeys([*newest, *found]))[:MOST], len(newest) == MOST


def _shown(messages: Sequence[Message], query: Query) -> list[FoundAnywhere]:
    found = []
    for one in messages:
        if has_all_runs(one.text, query.words):  # of scripts without spaces the index knows only pairs
            author = one.author_name or (one.author.email if one.author else "")
            pieces = pieces_of_message(one.text, one.html, query.words)
            found.append(FoundAnywhere(one.pk, one.conversation_id, one.role, author, one.created_at, pieces))
    return found

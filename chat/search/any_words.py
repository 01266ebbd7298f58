"""Finds messages and files that have any of some words, as models search: they guess words, so not each has to occur.

`chat.search.finding` is for people, who see what they find while they type: there every word has to occur.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from accounts.lib.db import statement_timeout
from chat.models import Member, Message
from chat.search.finding import FEW, HITS, OF_MANY, OF_ONE, SEARCH_SECONDS, Filters, Mine, count_hits, find_ids
from chat.search.folding import Word, words_of
from chat.search.passages import SEARCHED_CHARS, has_all_runs, pieces_of
from chat.search.queries import FEWEST_PREFIX, Query, read_query

PASSAGE_CHARS: Final = 500
TEXT_TYPES: Final = ("text/plain", "text/csv", "text/markdown", "application/json")
READ_FILES: Final = 200
READ_BYTES: Final = 4 * 1024 * 1024
_CONTEXT_CHARS: Final = 1_000  # of a long text before the first word in it


@dataclass(frozen=True, slots=True)
class FoundText:
    """A message that fits a search, or a file of one. `passage` is the part of its text around the first word that was
    found. `role` is empty for a file, `file` its name.
    """

    conversation_id: uuid.UUID
    title: str
    role: str
    written_at: datetime
    passage: str
    file: str = ""


def search_for_readers(user_id: uuid.UUID, asked_in: uuid.UUID, text: str, most: int) -> list[FoundText]:
    """Files and messages of the user's other conversations, as a model searches them: of files up to a third of `most`.

    Everybody who can read the conversation in which it is asked reads what is found. So where it has other members,
    only conversations are searched of which all of them are members. Raises `accounts.lib.db.QueryTimeoutError`.
    """
    readers = list(Member.objects.filter(conversation_id=asked_in).values_list("user_id", flat=True))
    if user_id not in readers:
        return []
    filters = Filters(read_by=readers, other_than=asked_in)
    files = search_files(user_id, text, filters, max(1, most // 3))
    here = Filters(read_by=readers)  # also of this conversation: a long file is not in the context as a whole
    files = [*search_attached(user_id, text, here, max(1, most // 3)), *files][: max(1, most // 2)]
    return [*files, *search_any(user_id, text, filters, max(1, most - len(files)))][:most]


def search_any(user_id: uuid.UUID, text: str, filters: Filters, most: int) -> list[FoundText]:
    """The messages that have most of the words, in themselves or in the title; of equals the newest come first.

    Of a conversation with words in its title alone it is the first message. Raises
    `accounts.lib.db.QueryTimeoutError`.
    """
    if not (words := _words(text)):
        return []
    with statement_timeout(SEARCH_SECONDS):
        mine = Mine(user_id, filters)
        texts, titles = [[Query([word]).condition(keys) for word in words] for keys in (mine.keys, ("",))]
        any_text = " | ".join(texts)
        if count_hits(mine, any_text) <= FEW:
            ids = [row[0] for row in _rank(mine, texts, titles, any_text, most)]
        else:
            ids = find_ids(mine, Query(words).condition(mine.keys))
            more = mine.rows(OF_MANY, any_text, of_one=OF_ONE, limit=most)
            ids = list(dict.fromkeys([*ids, *(row[0] for row in more)]))
        rows = Message.objects.select_related("conversation").in_bulk(ids)
    found = [rows[pk] for pk in ids if pk in rows and _has_any(rows[pk], words)]
    return [
        FoundText(one.conversation_id, one.conversation.title, one.role, one.created_at, passage_of(one.text, words))
        for one in found[:most]
    ]


def search_files(user_id: uuid.UUID, text: str, filters: Filters, most: int) -> list[FoundText]:
    """The text files that tools made in the user's conversations, those with most of the words first. No index has
    them: the newest ones are read, up to `READ_FILES` and `READ_BYTES`.

    Raises `accounts.lib.db.QueryTimeoutError`.
    """
    if not (words := _words(text)):
        return []
    with statement_timeout(SEARCH_SECONDS):
        mine = Mine(user_id, filters)
        rows = mine.rows(_FILES, "", types=list(TEXT_TYPES), files=READ_FILES, bytes=READ_BYTES)
    found: list[tuple[int, FoundText]] = []
    for conversation_id, title, name, made_at, content in rows:
        said = bytes(content).decode("utf-8", "replace")
        has = {word.text for word in words_of(f"{name} {said}")}
        fits = sum(_occurs(word, has) for word in words)
        if fits:
            passage = passage_of(said, words)
            found.append((fits, FoundText(conversation_id, title, "", made_at, passage, name)))
    return [one for _, one in sorted(found, key=lambda each: -each[0])[:most]]  # stable: of equals the newest first


def search_attached(user_id: uuid.UUID, text: str, filters: Filters, most: int) -> list[FoundText]:
    """The parts of files in the user's conversations that have most of the words; of equals the newest come first.

    Raises `accounts.lib.db.QueryTimeoutError`.
    """
    if not (words := _words(text)):
        return []
    each = [Query([word]).condition() for word in words]
    with statement_timeout(SEARCH_SECONDS):
        mine = Mine(user_id, filters)
        fits = " + ".join(f"(t.words @@ %(word{at})s::tsquery)::int" for at in range(len(each)))
        values = {f"word{at}": one for at, one in enumerate(each)}
        rows = mine.rows(_ATTACHED.replace("{fits}", fits), " | ".join(each), limit=most, **values)
    return [
        FoundText(conversation_id, title, "", at, passage_of(said, words), f"{name}, {label}" if label else name)
        for conversation_id, title, name, label, at, said in rows
    ]


def _words(text: str) -> list[Word]:
    return [word for word in read_query(text).words if word.unspaced or len(word.text) >= FEWEST_PREFIX]


def _occurs(word: Word, has: set[str]) -> bool:
    return any(word.text in one if word.unspaced else one.startswith(word.text) for one in has)


def passage_of(text: str, words: Sequence[Word]) -> str:
    """The part of a text around the first of the words, or its beginning."""
    match = re.search("|".join(re.escape(word.text) for word in words), text, re.IGNORECASE)
    skipped = max(0, match.start() - _CONTEXT_CHARS) if match and match.end() > SEARCHED_CHARS else 0
    return "".join(part for part, _ in pieces_of(text[skipped:], words, PASSAGE_CHARS))


def _rank(mine: Mine, texts: Sequence[str], titles: Sequence[str], query: str, most: int) -> list[tuple[Any, ...]]:
    fits = " + ".join(
        f"(h.words @@ %(text{at})s::tsquery OR coalesce(mine.words @@ %(title{at})s::tsquery, false))::int"
        for at in range(len(texts))
    )
    values = {f"text{at}": one for at, one in enumerate(texts)} | {f"title{at}": one for at, one in enumerate(titles)}
    statement = _RANKED.replace("{fits}", fits)
    return mine.rows(statement, query, titles=" | ".join(titles), most=FEW + 1, limit=most, **values)


# Not of messages that are deleted or withheld, nor what moderation withholds itself (`chat.files.access.withheld`).
_ATTACHED: Final = """
WITH mine AS MATERIALIZED ({mine}), files AS (
    SELECT DISTINCT ON (f.id) f.id, f.blob_id, f.name, f.created_at, mine.id AS conversation_id, mine.title
    FROM mine JOIN chat_file f ON f.conversation_id = mine.id JOIN chat_attachment a ON a.file_id = f.id
    JOIN chat_message m ON m.id = a.message_id
    WHERE m.deleted_at IS NULL AND COALESCE(m.moderation->>'action', '') NOT IN ('hold', 'block', 'withdrawn')
        AND NOT EXISTS (
            SELECT 1 FROM chat_moderationcase k WHERE k.person_id = f.owner_id AND k.target = 'file'
                AND k.target_id = f.id AND k.direction = 'files' AND k.action IN ('hold', 'block') AND NOT EXISTS (
                    SELECT 1 FROM chat_moderationdecision d WHERE d.case_id = k.id AND d.kind = 'release'
                )
        )
)
SELECT files.conversation_id, files.title, files.name, t.label, files.created_at, t.text
FROM files JOIN chat_filetext t ON t.blob_id = files.blob_id
WHERE t.words @@ %(query)s::tsquery ORDER BY {fits} DESC, files.created_at DESC, t.position LIMIT %(limit)s
"""
_FILES: Final = """
WITH mine AS MATERIALIZED ({mine}), files AS (
    SELECT f.*, mine.title, sum(f.size) OVER (ORDER BY f.created_at DESC, f.id DESC) AS total FROM chat_toolfile f
    JOIN mine ON mine.id = f.conversation_id WHERE f.media_type = ANY(%(types)s)
)
SELECT conversation_id, title, name, created_at, content FROM files
WHERE total <= %(bytes)s ORDER BY created_at DESC, id DESC LIMIT %(files)s
"""
_WORDS_OF_HITS: Final = HITS.replace("written_at FROM", "written_at, words FROM")
_RANKED: Final = f"""
WITH mine AS MATERIALIZED ({{mine}}), hits AS MATERIALIZED ({_WORDS_OF_HITS}), found AS (
    SELECT h.message_id, h.written_at, {{fits}} AS fits FROM hits h JOIN mine ON mine.id = h.conversation_id
    UNION
    SELECT h.message_id, h.written_at, {{fits}} FROM mine CROSS JOIN LATERAL (
        SELECT * FROM chat_messagewords w WHERE w.conversation_id = mine.id ORDER BY written_at, message_id LIMIT 1
    ) h WHERE mine.words @@ %(titles)s::tsquery
)
SELECT message_id FROM found ORDER BY fits DESC, written_at DESC, message_id DESC LIMIT %(limit)s
"""  # noqa: S608  # parts of statements, no values


def _has_any(message: Message, words: Sequence[Word]) -> bool:
    """Whether a message has one of the words; of scripts without spaces the index knows only pairs of characters."""
    text = f"{message.conversation.title} {message.text}"
    return any(not word.unspaced or has_all_runs(text, [word]) for word in words)

"""What a worker needs for a run: the run itself and the branch of messages it answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import connection

from chat.models import Message, Run

CONTEXT_MESSAGES: Final = 1000  # of a branch are read for the model, at most
CHARACTERS_PER_TOKEN: Final = 6  # more than ordinary text has, so that the trimming to the token budget decides

# Newest first, up to so many messages or characters: no more than a context can hold is read. A summary ends it: what
# came before its last message is in it.
_CONTEXT: Final = """
WITH RECURSIVE path(id, parent_id, role, text, depth, size, summary_id) AS (
    SELECT id, parent_id, role, text, 0, length(text), NULL::uuid FROM chat_message WHERE id = %(prompt)s
    UNION ALL
    SELECT m.id, m.parent_id, m.role, m.text, depth + 1, size + length(m.text), s.id
    FROM path JOIN chat_message m ON m.id = path.parent_id LEFT JOIN chat_summary s ON s.last_id = m.id AND s.used
    WHERE depth < %(messages)s AND size < %(characters)s AND path.summary_id IS NULL
)
SELECT path.id, path.parent_id, role, CASE WHEN s.id IS NULL THEN path.text ELSE s.text END, s.id, s.messages
FROM path LEFT JOIN chat_summary s ON s.id = path.summary_id ORDER BY depth DESC
"""
_COUNT_OLDER: Final = """
WITH RECURSIVE path(parent_id, counts) AS (
    SELECT parent_id, role = 'user' OR text <> '' FROM chat_message WHERE id = %s
    UNION ALL
    SELECT m.parent_id, m.role = 'user' OR m.text <> '' FROM path JOIN chat_message m ON m.id = path.parent_id
)
SELECT count(*) FILTER (WHERE counts) FROM path
"""


def log_context_of(run: uuid.UUID, conversation: uuid.UUID, user: uuid.UUID | None, trace: str) -> dict[str, str]:
    """The fields by which log lines about a run are found; empty ones are left out."""
    found = {"run": run, "conversation": conversation, "user": user, "trace": trace}
    return {name: str(value) for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run as the worker that claimed it knows it."""

    id: uuid.UUID
    conversation_id: uuid.UUID
    prompt_id: uuid.UUID
    message_id: uuid.UUID
    model: str
    attempt: int
    queued_ms: int
    user_id: uuid.UUID | None  # who asked; None once deleted
    trace_id: str
    base_chars: int = 0  # code points of the answer that earlier runs have written

    def log_context(self) -> dict[str, str]:
        """The fields of every log line about it."""
        return log_context_of(self.id, self.conversation_id, self.user_id, self.trace_id)


def read_text_before(message_id: uuid.UUID, base_chars: int) -> str:
    """The text that an answer had before the run that continues it; empty of a new answer."""
    if not base_chars:
        return ""
    return Message.objects.values_list("text", flat=True).get(pk=message_id)[:base_chars]


def earlier_runs(run: Run) -> list[Run]:
    """The runs that wrote the parts of the answer before this one, oldest first."""
    if run.part == 1:
        return []
    return list(Run.objects.filter(message_id=run.message_id, part__lt=run.part).order_by("part"))


@dataclass(frozen=True, slots=True)
class Branch:
    """The messages that a question ends, oldest first, as far back as a context reaches: their ids, and each as (role,
    text). `summary` is of the `summarised` messages before them; `older` messages before that were not read.
    """

    ids: list[uuid.UUID]
    path: list[tuple[str, str]]
    summary: str = ""
    summarised: int = 0
    summary_id: uuid.UUID | None = None
    older: int = 0


def read_branch(prompt_id: uuid.UUID, tokens: int | None = None, messages: int = CONTEXT_MESSAGES) -> Branch:
    """The branch that a message ends: as much of it as `tokens` can hold, and at most so many messages."""
    characters = max(tokens or 0, settings.MODEL_CONTEXT_TOKENS) * CHARACTERS_PER_TOKEN
    values: dict[str, uuid.UUID | int] = {"prompt": prompt_id, "messages": messages, "characters": characters}
    summary, summarised, summary_id, older = "", 0, None, 0
    with connection.cursor() as cursor:
        cursor.execute(_CONTEXT, values)
        rows = cursor.fetchall()
        if rows and rows[0][4] is not None:
            *_, summary, summary_id, summarised = rows.pop(0)
        elif rows and rows[0][1] is not None:
            cursor.execute(_COUNT_OLDER, [rows[0][1]])
            older = cursor.fetchone()[0]
    rows = [row for row in rows if row[2] == "user" or row[3]]
    path = [(role, text) for _, _, role, text, *_ in rows]
    return Branch([row[0] for row in rows], path, summary, summarised, summary_id, older)

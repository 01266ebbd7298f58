"""What a worker needs for a run: the run itself and the branch of messages it answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import connection

from chat.models import Message, Run

CONTEXT_MESSAGES: Final = 400  # of a branch are read for the model, at most
CHARACTERS_PER_TOKEN: Final = 6  # more than ordinary text has, so that the trimming to the token budget decides

# Newest first, up to so many messages or characters: no more than a context can hold is read.
_CONTEXT: Final = """
WITH RECURSIVE path(parent_id, role, text, depth, size) AS (
    SELECT parent_id, role, text, 0, length(text) FROM chat_message WHERE id = %s
    UNION ALL
    SELECT m.parent_id, m.role, m.text, depth + 1, size + length(m.text)
    FROM path JOIN chat_message m ON m.id = path.parent_id WHERE depth < %s AND size < %s
)
SELECT role, text FROM path WHERE role = 'user' OR text <> '' ORDER BY depth DESC
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


def read_branch(prompt_id: uuid.UUID) -> list[tuple[str, str]]:
    """(role, text) of the branch that a question ends, oldest first, as far back as any context reaches."""
    characters = settings.MODEL_CONTEXT_TOKENS * CHARACTERS_PER_TOKEN
    with connection.cursor() as cursor:
        cursor.execute(_CONTEXT, [prompt_id, CONTEXT_MESSAGES, characters])
        return [(role, text) for role, text in cursor.fetchall()]

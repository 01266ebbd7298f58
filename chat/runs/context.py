"""What a worker needs for a run: the run itself and the branch of messages it answers."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import connection

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import User
from chat.models import Message, Run
from chat.runs.branch_files import BranchFile, read_branch_files

_UNNAMED: Final = re.compile(r"[:\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")  # could end a name, or turn it
CONTEXT_MESSAGES: Final = 1000  # of a branch are read for the model, at most
CHARACTERS_PER_TOKEN: Final = 6  # more than ordinary text has, so that the trimming to the token budget decides

# Newest first, up to so many messages or characters: no more than a context can hold is read. A summary ends it: what
# came before its last message is in it.
_BRANCH: Final = """
WITH RECURSIVE path(id, parent_id, role, text, author_id, depth, size, summary_id, file_count) AS (
    SELECT id, parent_id, role, text, author_id, 0, length(text), NULL::uuid, file_count
    FROM chat_message WHERE id = {prompt}
    UNION ALL
    SELECT m.id, m.parent_id, m.role, m.text, m.author_id, depth + 1, size + length(m.text), s.id, m.file_count
    FROM path JOIN chat_message m ON m.id = path.parent_id LEFT JOIN chat_summary s ON s.last_id = m.id AND s.used
    WHERE depth < %(messages)s AND size < %(characters)s AND path.summary_id IS NULL
)
SELECT path.id, path.parent_id, role, CASE WHEN s.id IS NULL THEN path.text ELSE s.text END, author_id, s.id,
    s.messages, path.file_count, EXISTS (SELECT FROM chat_file f WHERE f.conversation_id = {conversation}),
    EXISTS (SELECT FROM chat_conversation_collections c WHERE c.conversation_id = {conversation})
FROM path LEFT JOIN chat_summary s ON s.id = path.summary_id ORDER BY depth DESC
"""
_CONTEXT: Final = PreparedStatement(
    _BRANCH.format(prompt="%(prompt)s", conversation="%(conversation)s"),
    {"prompt": "uuid", "messages": "int", "characters": "bigint", "conversation": "uuid"},
)
CONTEXT_OF_CLAIMED: Final = PreparedStatement(
    _BRANCH.format(
        prompt="""(
        SELECT r.prompt_id FROM chat_run r WHERE r.id = %(run)s AND r.status = 'running' AND r.lease_owner = %(owner)s
            AND NOT EXISTS (SELECT FROM chat_apirequest a WHERE a.message_id = r.prompt_id)
    )""",
        conversation="(SELECT conversation_id FROM chat_run WHERE id = %(run)s)",
    ),
    {"run": "uuid", "owner": "text", "messages": "int", "characters": "bigint"},
)
"""The branch of the run that `owner` has just claimed, for `branch_of_claimed`; nothing of a request of the API, which
has its own messages.
"""
_COUNT_OLDER: Final = """
WITH RECURSIVE path(parent_id, counts) AS (
    SELECT parent_id, text <> '' FROM chat_message WHERE id = %s
    UNION ALL
    SELECT m.parent_id, m.text <> '' FROM path JOIN chat_message m ON m.id = path.parent_id
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
    step_count: int = 0  # steps of earlier attempts
    kept_chars: int = 0  # code points of the answer at the end of the last finished one
    kept_reasoning: int = 0  # likewise of the thinking
    created_at: datetime | None = None

    @property
    def begins_with(self) -> int:
        """How many code points of the answer this attempt goes on after."""
        return max(self.base_chars, self.kept_chars)

    def log_context(self) -> dict[str, str]:
        """The fields of every log line about it."""
        return log_context_of(self.id, self.conversation_id, self.user_id, self.trace_id)


def read_text_before(message_id: uuid.UUID, base_chars: int) -> str:
    """The text that an answer had before the run that continues it; empty of a new answer."""
    if not base_chars:
        return ""
    return Message.objects.values_list("text", flat=True).get(pk=message_id)[:base_chars]


@dataclass(frozen=True, slots=True)
class Begun:
    """What the finished steps of earlier attempts have written: the whole text of the answer, also of the runs before,
    and the run's thinking, which took so many milliseconds.
    """

    text: str
    reasoning: str = ""
    reasoning_ms: int = 0


def read_begun(run: ClaimedRun) -> Begun:
    """What a run with steps goes on after. One query."""
    found = Run.objects.filter(pk=run.id).values_list("message__text", "reasoning__text", "reasoning_ms").get()
    text, reasoning, reasoning_ms = found
    return Begun(text[: run.begins_with], (reasoning or "")[: run.kept_reasoning], reasoning_ms)


def earlier_runs(run: Run) -> list[Run]:
    """The runs that wrote the parts of the answer before this one, oldest first."""
    if run.part == 1:
        return []
    return list(Run.objects.filter(message_id=run.message_id, part__lt=run.part).order_by("part"))


@dataclass(frozen=True, slots=True)
class Branch:
    """The messages that a question ends, oldest first, as far back as a context reaches: their ids, and each as (role,
    text). Where several people have written, `authors` has the name of each message's author ("" for an answer), else
    it is empty. `summary` is of the `summarised` messages before them; `older` messages before that were not read.
    """

    ids: list[uuid.UUID]
    path: list[tuple[str, str]]
    authors: list[str] = field(default_factory=list)
    summary: str = ""
    summarised: int = 0
    summary_id: uuid.UUID | None = None
    older: int = 0
    files: list[BranchFile] = field(default_factory=list)
    has_collections: bool = False  # that answers of the conversation are looked up in

    @property
    def named_path(self) -> list[tuple[str, str]]:
        """The path as a model gets it: of several people, each message begins with its author's name."""
        if not self.authors:
            return self.path
        named = zip(self.path, self.authors, strict=True)
        return [(role, f"{author}: {text}" if author else text) for (role, text), author in named]


def read_branch(
    prompt_id: uuid.UUID,
    tokens: int | None = None,
    messages: int = CONTEXT_MESSAGES,
    conversation_id: uuid.UUID | None = None,
) -> Branch:
    """The branch that a message ends: as much of it as `tokens` can hold, and at most so many messages. With its
    conversation's id it has the files; they cost a query only where the conversation has any.
    """
    values: dict[str, uuid.UUID | int | None] = {
        "prompt": prompt_id, "messages": messages, "characters": _characters(tokens), "conversation": conversation_id,
    }  # fmt: skip
    with connection.cursor() as cursor:
        _CONTEXT.execute(cursor, values)
        rows = cursor.fetchall()
    return _branch_from(prompt_id, rows)


def limits_of_claimed() -> dict[str, int]:
    """How much `CONTEXT_OF_CLAIMED` reads, which does not know the model's window: what every context may hold."""
    return {"messages": CONTEXT_MESSAGES, "characters": _characters(None)}


def branch_of_claimed(run: ClaimedRun, rows: list[tuple[Any, ...]], tokens: int | None) -> Branch:
    """The branch that was read with the claim of a run: `read_branch`, which reads again where more was left out than a
    context of `tokens` leaves out.
    """
    cut = bool(rows) and rows[0][1] is not None and rows[0][5] is None and len(rows) <= CONTEXT_MESSAGES
    if cut and _characters(tokens) > _characters(None):
        return read_branch(run.prompt_id, tokens, conversation_id=run.conversation_id)
    return _branch_from(run.prompt_id, rows)


def _characters(tokens: int | None) -> int:
    """How many characters of a branch are read for a context of `tokens`; None: its size is not known."""
    return max(tokens or 0, settings.MODEL_CONTEXT_TOKENS) * CHARACTERS_PER_TOKEN


def _branch_from(prompt_id: uuid.UUID, rows: list[tuple[Any, ...]]) -> Branch:
    """The branch in the rows of `_BRANCH`."""
    summary, summarised, summary_id, older = "", 0, None, 0
    has_files, has_collections = rows[0][8:10] if rows else (False, False)
    if rows and rows[0][5] is not None:
        *_, summary, _, summary_id, summarised, _, _, _ = rows.pop(0)
    elif rows and rows[0][1] is not None:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_OLDER, [rows[0][1]])
            older = cursor.fetchone()[0]
    # No question that was withheld, no empty answer.
    rows = [row for row in rows if row[3] or row[0] == prompt_id or (has_files and row[7])]
    path = [(role, text) for _, _, role, text, *_ in rows]
    authors = _authors_of([(role, author_id) for _, _, role, _, author_id, *_ in rows], [row[0] for row in rows])
    files = read_branch_files(prompt_id) if has_files else []
    ids = [row[0] for row in rows]
    return Branch(ids, path, authors, summary, summarised, summary_id, older, files, has_collections)


def _authors_of(rows: list[tuple[str, uuid.UUID | None]], messages: list[uuid.UUID]) -> list[str]:
    """The author's name of each (role, author id), two people of one name told apart; "" of an answer.

    Empty if one person wrote all of it. Whoever was erased counts as one person. In a copy, others have the names that
    it was made with.
    """
    ids = list(dict.fromkeys(author for role, author in rows if role == "user"))
    if len(ids) < 2:
        return []
    people = User.objects.in_bulk([one for one in ids if one])
    copied: dict[uuid.UUID | None, str] = dict(
        Message.objects.filter(pk__in=messages).exclude(author_name="").values_list("author_id", "author_name")
    )
    names: dict[uuid.UUID | None, str] = {}
    for one in ids:
        person = people.get(one) if one else None
        known = copied.get(one) or (person.display_name if person else "")
        name = " ".join(_UNNAMED.sub(" ", known).split())
        name = name or "Somebody"
        same = sum(known == name or known.startswith(f"{name} (") for known in names.values())
        names[one] = f"{name} ({same + 1})" if same else name
    return [names[author] if role == "user" else "" for role, author in rows]

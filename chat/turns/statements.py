"""The statements of a turn's transaction. In SQL, because they delay every first token.

Through the ORM the same work takes nine statements and three times as long (docs/performance.md).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import connection

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.quotas.reservations import METERED
from chat.conversations.member_branches import KEEP_BRANCHES
from chat.conversations.membership import check_suspension
from chat.models import Folder, Message, Preset, Run
from chat.protocol.commands import TurnOptions
from chat.protocol.errors import TooLarge
from chat.protocol.parameters import MAX_PROMPT_CHARS

LONG_TOGETHER: Final = gettext_noop(
    "The system prompt and the folder's instructions have more than 20,000 characters together. Shorten one of them."
)

# Until when and why a user may not write; NULL: they may.
_SUSPENDED: Final = "CASE WHEN u.suspended_until > now() THEN u.suspended_until END, u.suspension_reason"

_SUBMISSION: Final = PreparedStatement(
    """
SELECT fingerprint, conversation_id, message_id, run_id FROM chat_submission
WHERE user_id = %(user)s AND client_id = %(client_id)s
""",
    {"user": "uuid", "client_id": "uuid"},
)

# The sender's row is locked, too: turns of one user run one after the other, so that runs under way can be counted.
_PLACE: Final = PreparedStatement(
    f"""
SELECT m.role, c.title, c.model, c.temporary, COALESCE(%(parent)s, m.tip_id, c.tip_id), p.id, p.role, p.status,
       p.role = 'user' AND EXISTS (
           SELECT FROM chat_run r WHERE r.prompt_id = p.id AND r.status IN ('waiting', 'queued', 'running')),
       x.prompt_id, u.name, u.email, {METERED}, c.answers,
       (SELECT count(*) FROM chat_member n WHERE n.conversation_id = c.id), {_SUSPENDED}
FROM chat_conversation c
JOIN chat_member m ON m.conversation_id = c.id AND m.user_id = %(user)s
JOIN accounts_user u ON u.id = m.user_id
LEFT JOIN chat_message p ON p.id = COALESCE(%(parent)s, m.tip_id, c.tip_id) AND p.conversation_id = c.id
LEFT JOIN chat_comparison x ON x.prompt_id = p.parent_id AND x.chosen_id IS NULL
WHERE c.id = %(conversation)s AND c.deleted_at IS NULL
FOR UPDATE OF c FOR NO KEY UPDATE OF u
""",  # noqa: S608 -- constants
    {"parent": "uuid", "user": "uuid", "conversation": "uuid"},
)

# The database's clock, read under the conversation's lock, keeps its messages in order whichever process inserts them.
_INSERT: Final = PreparedStatement(
    f"""
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), prompt AS (
    INSERT INTO chat_message (id, conversation_id, parent_id, role, author_id, text, moderation, mentions, file_count,
        html, status, created_at)
    SELECT %(prompt)s::uuid, %(conversation)s::uuid, %(parent)s::uuid, 'user', %(user)s::uuid, %(text)s,
        %(moderation)s::jsonb, %(mentions)s::jsonb, %(file_count)s, '', 'complete', now
    FROM clock WHERE %(asks)s
), answer AS (
    INSERT INTO chat_message (id, conversation_id, parent_id, role, author_id, text, html, status, created_at)
    SELECT %(answer)s::uuid, %(conversation)s::uuid, %(prompt)s::uuid, 'assistant', NULL, '', '', 'pending',
           now + interval '1 microsecond'
    FROM clock
), run AS (
    INSERT INTO chat_run (id, conversation_id, prompt_id, message_id, requested_by_id, model, effort, parameters, slot,
        status, waiting_for, enqueued_at, attempt, lease_owner, checkpoint_epoch, checkpoint_seq, ended_in_log,
        error_code, error_message, usage_estimated, trace_id, created_at)
    VALUES (%(run)s, %(conversation)s, %(prompt)s, %(answer)s, %(user)s, %(model)s, %(effort)s, %(parameters)s,
        %(slot)s, %(status)s, %(waiting_for)s, CASE %(status)s WHEN 'queued' THEN clock_timestamp() END, 0, '', '', 0,
        false, '', '', false, %(trace)s, clock_timestamp())
), submission AS (
    INSERT INTO chat_submission (user_id, client_id, fingerprint, conversation_id, message_id, run_id, created_at)
    VALUES (%(user)s, %(client_id)s, %(fingerprint)s, %(conversation)s, %(shown)s, %(run)s, clock_timestamp())
), branches AS ({KEEP_BRANCHES}), conversation AS (
    UPDATE chat_conversation SET tip_id = %(answer)s, updated_at = now + interval '1 microsecond', title = %(title)s,
        model = CASE WHEN %(choose)s THEN %(model)s ELSE model END
    FROM clock WHERE id = %(conversation)s
)
SELECT ARRAY(SELECT user_id FROM chat_member WHERE conversation_id = %(conversation)s),
    (SELECT count(*) FROM chat_run WHERE requested_by_id = %(user)s AND status IN ('queued', 'running')), now
FROM clock
""",  # noqa: S608 -- constants
    {
        **dict.fromkeys(("prompt", "answer", "run", "conversation", "parent", "user", "client_id", "shown"), "uuid"),
        **dict.fromkeys(("text", "model", "effort", "status", "waiting_for", "trace", "title"), "text"),
        **dict.fromkeys(("parameters", "moderation", "mentions"), "jsonb"),
        **dict.fromkeys(("slot", "file_count"), "int"),
        **dict.fromkeys(("asks", "choose"), "boolean"),
        "fingerprint": "bytea",
        "below": "uuid[]",
    },
)


_BEGIN: Final = PreparedStatement(
    f"""
WITH conversation AS (
    INSERT INTO chat_conversation (id, title, model, system_prompt, preset_id, temperature, max_tokens, effort,
        tools, web_search, created_at, updated_at, temporary)
    VALUES (%(conversation)s, '', %(model)s, %(system_prompt)s, %(preset)s, %(temperature)s, %(max_tokens)s, %(effort)s,
        %(tools)s, %(web_search)s, clock_timestamp(), clock_timestamp(), %(temporary)s)
), member AS (
    INSERT INTO chat_member (conversation_id, user_id, role, joined_at, folder_id)
    VALUES (%(conversation)s, %(user)s, 'owner', clock_timestamp(), %(folder)s)
)
SELECT name, email, {METERED}, {_SUSPENDED} FROM accounts_user u WHERE id = %(user)s FOR NO KEY UPDATE
""",  # noqa: S608 -- constants
    {
        **dict.fromkeys(("conversation", "user", "folder", "preset"), "uuid"),
        **dict.fromkeys(("model", "system_prompt", "effort"), "text"),
        **dict.fromkeys(("temporary", "web_search"), "boolean"),
        "temperature": "double precision",
        "max_tokens": "int",
        "tools": "jsonb",
    },
)

_SENDER: Final = f"SELECT {METERED}, {_SUSPENDED} FROM accounts_user u WHERE id = %s FOR NO KEY UPDATE"  # noqa: S608 -- constants


# Of a turn's transaction, for `with_prepared`.
TURN: Final = (_PLACE, _INSERT, _BEGIN)


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A conversation and the message a new one goes below. `parent_*` are None if there is no such message."""

    member_role: str
    title: str
    model: str
    temporary: bool
    wanted_id: uuid.UUID | None
    parent_id: uuid.UUID | None
    parent_role: str | None
    parent_status: str | None
    answer_under_way: bool
    comparison_id: uuid.UUID | None  # of which the parent is an answer, while none is chosen
    user_name: str
    user_email: str
    metered: bool
    answers: str  # the rule that was chosen for the conversation, or empty
    members: int


def find_submission(
    user_id: uuid.UUID, client_id: uuid.UUID
) -> tuple[bytes, uuid.UUID, uuid.UUID, uuid.UUID | None] | None:
    """(fingerprint, conversation, message, run) of a command that was carried out before; else None. There is no run if
    the message asks nobody.
    """
    with connection.cursor() as cursor:
        _SUBMISSION.execute(cursor, {"user": user_id, "client_id": client_id})
        row = cursor.fetchone()
    return (bytes(row[0]), *row[1:]) if row else None


def lock_place(user_id: uuid.UUID, conversation_id: uuid.UUID, parent_id: uuid.UUID | None) -> PlaceRow | None:
    """Locks the conversation for this transaction; None if the user is not a member. Raises `Suspended`."""
    asked = {"user": user_id, "conversation": conversation_id, "parent": parent_id}
    with connection.cursor() as cursor:
        for _ in range(2):
            _PLACE.execute(cursor, asked)
            row = cursor.fetchone()
            if row is None:
                return None
            *place_row, until, reason = row
            check_suspension(until, reason)
            place = PlaceRow(*place_row)
            # After waiting for the lock PostgreSQL reads the conversation again, but not the rows it is joined with.
            if place.parent_id == place.wanted_id:
                break
        return place


def insert_turn(
    *, prompt: Message, answer: Message, run: Run, asks: bool, client_id: uuid.UUID, fingerprint: bytes, title: str,
    choose_model: bool, below: Sequence[uuid.UUID],
) -> tuple[list[uuid.UUID], int]:  # fmt: skip
    """Writes a turn in one statement and sets `created_at` of the new messages. Returns the ids of the conversation's
    members, and how many runs of the user were under way before this one. `asks`: the prompt is new, too. Members
    who look at one of the messages `below` look at the answer from now on (`member_branches`).

    Raises `django.db.IntegrityError` for the constraints `submission_once` and `run_one_active_per_branch`.
    """
    values: dict[str, Any] = {
        "prompt": prompt.pk,
        "answer": answer.pk,
        "run": run.pk,
        "conversation": run.conversation_id,
        "parent": prompt.parent_id,
        "user": run.requested_by_id,
        "text": prompt.text if asks else "",
        "asks": asks,
        "model": run.model,
        "effort": run.effort,
        "parameters": json.dumps(run.parameters),
        "slot": run.slot,
        "status": run.status,
        "waiting_for": run.waiting_for,
        "moderation": json.dumps(prompt.moderation if asks else {}),
        "mentions": json.dumps(prompt.mentions if asks else []),
        "file_count": prompt.file_count if asks else 0,
        "trace": run.trace_id,
        "choose": choose_model,
        "client_id": client_id,
        "fingerprint": fingerprint,
        "shown": prompt.pk if asks else answer.pk,
        "title": title,
        "below": list(below),
    }
    with connection.cursor() as cursor:
        _INSERT.execute(cursor, values)
        members, under_way, now = cursor.fetchone()
    answer.created_at = now + timedelta(microseconds=1)
    if asks:
        prompt.created_at = now
    return members, under_way


def begin_conversation(
    user_id: uuid.UUID,
    conversation_id: uuid.UUID,
    *,
    temporary: bool,
    preset: Preset | None = None,
    options: TurnOptions | None = None,
    folder: Folder | None = None,
) -> tuple[User, bool]:
    """Inserts a conversation that the user owns, in one statement; the sender, and whether quotas apply.

    Its parameters are those of `options`, and where these have none, the preset's. The `folder` of the user's list that
    it begins in adds its instructions to the system prompt. Raises `Suspended` and `TooLarge`.
    """
    own = options or TurnOptions()
    tools = preset.tools if preset and own.tools is None else own.tools
    values: dict[str, Any] = {
        "conversation": conversation_id,
        "user": user_id,
        "temporary": temporary,
        "web_search": bool(own.web_search),
        "model": usual_model(preset, folder),
        "folder": folder.pk if folder else None,
        "system_prompt": _with_instructions(own.system_prompt or (preset.system_prompt if preset else ""), folder),
        "preset": preset.pk if preset else None,
        "temperature": preset.temperature if preset and own.temperature is None else own.temperature,
        "max_tokens": own.max_tokens or (preset.max_tokens if preset else None),
        "effort": own.effort or (preset.effort if preset else ""),
        "tools": None if tools is None else json.dumps(tools),
    }
    with connection.cursor() as cursor:
        _BEGIN.execute(cursor, values)
        name, email, metered, until, reason = cursor.fetchone()
    check_suspension(until, reason)
    return sender(user_id, name, email), metered


def usual_model(preset: Preset | None, folder: Folder | None) -> str:
    """The model of a new conversation for which none was chosen: the preset's, or the folder's; empty: the default."""
    return (preset.model if preset else "") or (folder.model if folder else "")


def _with_instructions(prompt: str, folder: Folder | None) -> str:
    found = "\n\n".join(text for text in (prompt, folder.instructions if folder else "") if text)
    if len(found) > MAX_PROMPT_CHARS:
        raise TooLarge(LONG_TOGETHER)
    return found


def lock_sender(user_id: uuid.UUID) -> bool:
    """Makes other turns of the user wait until this transaction is over; whether quotas apply to the user.

    Raises `Suspended`.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SENDER, [user_id])
        metered, until, reason = cursor.fetchone()
    check_suspension(until, reason)
    return bool(metered)


def sender(user_id: uuid.UUID, name: str, email: str) -> User:
    """The sender as frames show them; not a row to save."""
    return User(id=user_id, name=name, email=email)

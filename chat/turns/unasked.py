"""A message that asks nobody: one more message of the conversation, without an answer and a run.

It follows the conversation's newest message, or the one that the command names. While an answer is being written, it
follows that answer: so the next question comes after both, and both are in its context.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.db import connection
from django.db.models import F

from chat.conversations.member_branches import KEEP_BRANCHES
from chat.eventlog import events, store
from chat.eventlog.events import AnyChoice
from chat.models import File, Message, MessageRole, Run, Unannounced
from chat.models.moderation import Direction
from chat.moderation.screening import screen_message, screen_title
from chat.protocol.commands import MessageEdit, MessageSend, QueuedSend
from chat.turns.accepted import Accepted
from chat.turns.attaching import attach, note_files, title_of
from chat.turns.mentioning import note_mentions, people_of, store_mentions
from chat.turns.places import Place

AT_ONCE: Final = 100  # messages that one round of the recovery announces

_INSERT: Final = f"""
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), message AS (
    INSERT INTO chat_message (id, conversation_id, parent_id, role, author_id, text, moderation, mentions, file_count,
        html, status, created_at)
    SELECT %(message)s::uuid, %(conversation)s::uuid, %(parent)s::uuid, 'user', %(user)s::uuid, %(text)s,
        %(moderation)s::jsonb, %(mentions)s::jsonb, %(file_count)s, '', 'complete', now
    FROM clock
), unannounced AS (
    INSERT INTO chat_unannounced (message_id, created_at) SELECT %(message)s::uuid, now FROM clock
), unjudged AS (
    INSERT INTO chat_unjudged (message_id, created_at, next_try_at) SELECT %(message)s::uuid, now, now FROM clock
), submission AS (
    INSERT INTO chat_submission (user_id, client_id, fingerprint, conversation_id, message_id, run_id, created_at)
    VALUES (%(user)s, %(client_id)s, %(fingerprint)s, %(conversation)s, %(message)s, NULL, clock_timestamp())
), branches AS ({KEEP_BRANCHES}), conversation AS (
    UPDATE chat_conversation SET tip_id = %(message)s, updated_at = now, title = %(title)s,
        model = COALESCE(%(model)s, model)
    FROM clock WHERE id = %(conversation)s
)
SELECT ARRAY(SELECT user_id FROM chat_member WHERE conversation_id = %(conversation)s), now FROM clock
"""  # noqa: S608 -- constants


def accept_unasked(
    user_id: uuid.UUID,
    command: MessageSend | MessageEdit,
    fingerprint: bytes,
    place: Place,
    direction: Direction,
    files: Sequence[File] = (),
) -> Accepted:
    """Stores the message, within the transaction of `chat.turns.accept.accept`. Raises `ChatError`s and `Refusal`."""
    message = Message(
        **({"id": command.queued_id} if isinstance(command, QueuedSend) else {}),
        conversation_id=place.conversation_id,
        parent_id=place.parent_id,
        role=MessageRole.USER,
        author=place.author,
        text=command.text,
    )
    note_files(message, files)
    held = screen_message(message, (), direction)
    note_mentions(message)
    title = place.title or screen_title(title_of(message), user_id)
    members = _insert(message, command.client_id, fingerprint, title, place)
    told = store_mentions(message)
    attach(message, files)
    return Accepted(
        place.conversation_id,
        message.pk,
        None,
        [announcement(message, client_id=command.client_id, choice=place.choice)],
        members=members or [place.author.pk],
        listing={
            "conversation_id": str(place.conversation_id),
            "title": title,
            "updated_at": message.created_at.isoformat(),
            "temporary": place.temporary,
        },
        held=held,
        mentioned=told,
        unnotified=len(told) < len(people_of(message)),
    )


def announcement(
    message: Message, *, client_id: uuid.UUID | None = None, choice: AnyChoice | None = None
) -> store.Append:
    """The events of a message that asks nobody. The log takes them once, however often they are appended."""
    chosen = [events.answer_chosen(message.conversation_id, choice)] if choice else []
    made = [*chosen, events.message_created(message, client_id=client_id), *events.moderation_notices(message)]
    return store.Append(message.conversation_id, made, message.pk, attempt=0, number=1)


def note_announced(message_ids: Sequence[uuid.UUID]) -> None:
    """Notes that these messages are in the event log."""
    Unannounced.objects.filter(pk__in=message_ids).delete()


def find_unannounced(seconds: float) -> list[store.Append]:
    """The announcements of messages that have not been in the log for so many seconds, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT message_id FROM chat_unannounced WHERE created_at < clock_timestamp() - make_interval(secs => %s)"
            " ORDER BY created_at LIMIT %s",
            [seconds, AT_ONCE],
        )
        ids = [row[0] for row in cursor.fetchall()]
    messages = Message.objects.select_related("author").filter(pk__in=ids).order_by("created_at", "pk")
    followed = [message.parent_id for message in messages]
    runs = Run.objects.filter(message__in=followed, prompt__comparison__chosen=F("message"), latest=True)
    chosen: dict[uuid.UUID | None, Run] = {
        run.message_id: run for run in runs
    }  # by the message: of several answers, the one that it follows
    return [announcement(message, choice=chosen.get(message.parent_id)) for message in messages]


def _insert(message: Message, client_id: uuid.UUID, fingerprint: bytes, title: str, place: Place) -> list[uuid.UUID]:
    """Writes the message in one statement and sets its `created_at`. Returns the ids of the conversation's members."""
    values: dict[str, Any] = {
        "message": message.pk,
        "conversation": message.conversation_id,
        "parent": message.parent_id,
        "user": message.author_id,
        "text": message.text,
        "moderation": json.dumps(message.moderation),
        "mentions": json.dumps(message.mentions),
        "client_id": client_id,
        "fingerprint": fingerprint,
        "file_count": message.file_count,
        "title": title,
        "model": place.choice.model if place.choice else None,
        "below": place.followed,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        members, message.created_at = cursor.fetchone()
    found: list[uuid.UUID] = members
    return found

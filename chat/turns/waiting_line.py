"""The waiting line of a conversation: messages that wait until an answer in progress has ended.

Each change is one transaction that locks the conversation. `chat.turns.waiting_events` publishes what has changed, and
`chat.turns.going_on` sends what is due. The line is one for all members (`chat.turns.line_order`), in which each author
orders their own messages, on the places that these have.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from chat.conversations.membership import check_may_write, member_of
from chat.models import (
    Conversation,
    Message,
    MessageRole,
    MessageStatus,
    QueuedMessage,
    QueuedState,
    Role,
    Submission,
)
from chat.moderation.screening import Refusal, refuse, screen_waiting
from chat.protocol.commands import MessageSend, QueuedSend, clean_text
from chat.protocol.errors import Busy, Conflict, Forbidden, Invalid, NotFound
from chat.protocol.parameters import check_options
from chat.protocol.queue import QueueEdit, QueueMove, QueueRemove, QueueSendNow
from chat.telemetry import metrics
from chat.turns.accept import asked_once
from chat.turns.accepted import fingerprint_of
from chat.turns.api_requests import count_for_token
from chat.turns.asking import asks_in
from chat.turns.attaching import claim, clean_message, lock_files
from chat.turns.comparing import models_of
from chat.turns.line_order import GAP, fair_place, position_at
from chat.turns.line_rows import GONE, discard, lock, lock_own, lock_row, revise, waiting_rows

MOST_WAITING: Final = 100  # in one conversation
# What a row does not keep of the command, because it has a column, or has no meaning later.
_NOT_KEPT: Final = (
    "type", "ref", "traceparent", "client_id", "conversation_id", "text", "when_busy", "temporary",
)  # fmt: skip
# Reasons that end when the text is another one.
_OF_THE_TEXT: Final = ("moderated", "invalid", "too_large")


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits. `duplicate`: the same command came before. `removed`: it has been removed since."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID
    duplicate: bool = False
    removed: bool = False


def is_behind(user_id: uuid.UUID, conversation_id: uuid.UUID, command: MessageSend) -> bool:
    """Whether a message must wait although no answer is in progress: an earlier one of its author is about to be sent,
    or the message itself is in the line.
    """
    own = QueuedMessage.objects.filter(author_id=user_id)
    if own.filter(client_id=command.client_id).exists():
        return True
    if command.when_busy == "steer":
        return False
    return own.filter(conversation_id=conversation_id, state=QueuedState.WAITING, reason="").exists()


def enqueue(user_id: uuid.UUID, command: MessageSend, token_id: uuid.UUID | None = None) -> Queued | None:
    """Puts a message into the line; None if it was sent meanwhile. May be repeated, as a command may.

    With `when_busy="steer"` it is the first of the line, and the answer before it is stopped (`chat.turns.going_on`).
    A question counts for the API token `token_id`, if there is one.
    Raises `ChatError`s: `Busy` when too many wait, `Moderated` if a rule blocks the text.
    """
    command = msgspec.structs.replace(command, text=clean_message(command.text, command.attachments))
    if command.options is not None:
        command = msgspec.structs.replace(command, options=check_options(command.options))
    asked_once(command)
    assert command.conversation_id is not None
    try:
        with transaction.atomic():
            conversation = lock(command.conversation_id)
            fingerprint = fingerprint_of(command)
            known = QueuedMessage.objects.filter(author_id=user_id, client_id=command.client_id).first()
            if known is not None:
                return _repeated(user_id, known, fingerprint)
            if Submission.objects.filter(user_id=user_id, client_id=command.client_id).exists():
                return None
            member = member_of(user_id, conversation.pk, write=True)
            check_may_write(user_id)
            rows = waiting_rows(conversation.pk)
            _check_room(rows, user_id)
            claim(lock_files(user_id, conversation.pk, command, command.text), conversation.pk)
            shown = screen_waiting(command.text, user_id, models_of(user_id, command, conversation.model))
            asks = asks_in(user_id, command, conversation.pk, conversation.answers, conversation.members.count())
            if token_id is not None and asks.anybody:
                count_for_token(token_id)
            steers = command.when_busy == "steer"
            if steers:
                _steer_no_more(rows)
            row = QueuedMessage.objects.create(
                conversation=conversation,
                author_id=user_id,
                client_id=command.client_id,
                fingerprint=fingerprint,
                after_id=_find_after(conversation, command.parent_id, member.tip_id),
                text=command.text,
                shown=shown,
                command=_kept(command, asks.anybody),
                position=_front(rows) if steers else _fair_position(rows, user_id),
                steers=steers,
                changed_at=Now(),
            )
    except Refusal as refusal:
        raise refuse(refusal, user_id, command.client_id) from None
    except IntegrityError:  # the same id in another conversation, at the same moment
        raise Conflict from None
    metrics.waiting_line["queued"] += 1
    return Queued(conversation.pk, row.pk)


def command_of(row: QueuedMessage, parent_id: uuid.UUID | None) -> QueuedSend:
    """The command that sends a message of the line below `parent_id`. Raises `Invalid` if this server cannot read what
    an earlier version has kept.
    """
    kept = {**row.command, "type": "message.send", "text": row.text, "conversation_id": str(row.conversation_id)}
    try:
        command = msgspec.convert({**kept, "client_id": str(row.client_id)}, MessageSend)
    except msgspec.ValidationError as error:
        raise Invalid(f"{error}.") from None
    fields = {**msgspec.structs.asdict(command), "parent_id": parent_id}
    return QueuedSend(**fields, queued_id=row.pk, fingerprint=bytes(row.fingerprint))


# --- what members change ---------------------------------------------------------------------------------------------


def edit(user_id: uuid.UUID, command: QueueEdit) -> uuid.UUID:
    """Gives one's own message another text; the conversation's id. Raises `ChatError`s."""
    text = clean_text(command.text, may_be_empty=True)
    try:
        with transaction.atomic():
            row = lock_own(user_id, command.message_id)
            asked = command_of(row, None)
            text = clean_message(text, asked.attachments)
            shown = screen_waiting(text, user_id, models_of(user_id, asked, row.conversation.model))
            again = {"reason": "", "sentence": "", "retry_at": None} if row.reason in _OF_THE_TEXT else {}
            revise(row, text=text, shown=shown, **again)
    except Refusal as refusal:
        raise refuse(refusal, user_id, uuid.uuid5(command.message_id, text)) from None
    metrics.waiting_line["edited"] += 1
    return row.conversation_id


def remove(user_id: uuid.UUID, command: QueueRemove) -> uuid.UUID:
    """Removes a message: its author may, and owners of the conversation; the conversation's id. Raises `ChatError`s."""
    with transaction.atomic():
        row = lock_row(command.message_id)
        member = member_of(user_id, row.conversation_id)
        if row.author_id != user_id and member.role != Role.OWNER:
            raise Forbidden(_("Only its author and the owners of the conversation can remove a message that waits."))
        discard(row)
    return row.conversation_id


def remove_as_staff(message_id: uuid.UUID) -> bool:
    """Removes anybody's message; whether it still waited. The caller checks the permission and records it."""
    with transaction.atomic():
        try:
            row = lock_row(message_id)
        except NotFound:
            return False
        discard(row)
    return True


def send_now(user_id: uuid.UUID, command: QueueSendNow) -> uuid.UUID:
    """Makes one's own message the next one: it goes at once, or after the answer in progress, which is stopped
    (`chat.turns.going_on`); the conversation's id. Raises `ChatError`s.
    """
    with transaction.atomic():
        row = lock_own(user_id, command.message_id)
        rows = waiting_rows(row.conversation_id)
        _steer_no_more([one for one in rows if one.pk != row.pk])
        position = row.position if rows[0].pk == row.pk else _front(rows)
        revise(row, position=position, steers=True, reason="", sentence="", retry_at=None)
    return row.conversation_id


def move(user_id: uuid.UUID, command: QueueMove) -> uuid.UUID:
    """Moves one's own message before another one of one's own; the conversation's id. Raises `ChatError`s.

    The author's messages change places among themselves: nobody else's goes earlier or later.
    """
    with transaction.atomic():
        row = lock_own(user_id, command.message_id)
        own = [one for one in waiting_rows(row.conversation_id) if one.author_id == user_id]
        order = [one for one in own if one.pk != row.pk]
        places = [one.pk for one in order]
        if command.before is not None and command.before not in places:
            raise Invalid(GONE if command.before != row.pk else _("A message cannot be moved before itself."))
        order.insert(len(order) if command.before is None else places.index(command.before), row)
        for one, position in zip(order, [one.position for one in own], strict=True):
            if one.position != position:
                revise(one, position=position)
    return row.conversation_id


# --- rows ------------------------------------------------------------------------------------------------------------


def _repeated(user_id: uuid.UUID, known: QueuedMessage, fingerprint: bytes) -> Queued:
    if bytes(known.fingerprint) != fingerprint:
        raise Conflict
    member_of(user_id, known.conversation_id)
    return Queued(known.conversation_id, known.pk, duplicate=True, removed=known.state == QueuedState.REMOVED)


def _check_room(rows: Sequence[QueuedMessage], user_id: uuid.UUID) -> None:
    limit = settings.QUEUE_MESSAGES_PER_USER
    own = sum(row.author_id == user_id for row in rows)
    if 0 < limit <= own or len(rows) >= MOST_WAITING:
        metrics.waiting_line["full"] += 1
        raise Busy(
            _("%(value)s messages are waiting already. Remove one, or send one now.")
            % {"value": own if 0 < limit <= own else len(rows)}
        )


def _find_after(conversation: Conversation, parent_id: uuid.UUID | None, own_tip: uuid.UUID | None) -> uuid.UUID | None:
    """The message whose newest branch a message of the line goes on with; None: the conversation's newest message.
    `own_tip` is the end of the branch that its author looks at, if that is another one.

    Of an answer in progress it is the question, so that another answer may take its place; and where the command does
    not name the branch, the message before the question, which may be edited.
    """
    named = parent_id or own_tip or conversation.tip_id
    message = Message.objects.filter(pk=named, conversation=conversation).first() if named else None
    if message is None:
        if parent_id is not None:
            raise NotFound
        return None
    is_question = message.role == MessageRole.USER
    if not is_question and message.status not in (MessageStatus.PENDING, MessageStatus.STREAMING):
        return message.pk
    question = message if is_question else message.parent
    assert question is not None  # every answer has one
    return question.pk if parent_id is not None else question.parent_id


def _kept(command: MessageSend, asks: bool) -> dict[str, Any]:
    """What a row keeps of a command. `asks` as the conversation's rule was when the message came."""
    found: dict[str, Any] = {**msgspec.to_builtins(command), "ask": asks}
    return {name: value for name, value in found.items() if name not in _NOT_KEPT and value is not None}


def _front(rows: Sequence[QueuedMessage]) -> int:
    return rows[0].position - GAP if rows else 0


def _steer_no_more(rows: Sequence[QueuedMessage]) -> None:
    """Only the latest message that steers does: the others are next after its answer."""
    for row in rows:
        if row.steers:
            revise(row, steers=False)


def _fair_position(rows: Sequence[QueuedMessage], author_id: uuid.UUID) -> int:
    """The position of an author's new message. Where there is no room for it, the rows get new positions."""
    at = fair_place([row.author_id for row in rows], author_id)
    position = position_at([row.position for row in rows], at)
    if position is not None:
        return position
    for place, row in enumerate(rows):
        revise(row, position=place * GAP)
    return at * GAP - GAP // 2

"""One turn of a conversation, from a command to rows and a job: the spine of the system.

`submit` reads top to bottom: check who and what → one transaction (idempotent insert of message, answer and run) →
enqueue → append to the log. When the broker is away the run's row is the outbox, when the log is away PostgreSQL is
the truth; `chat.recovery` brings either up to date. Nothing accepted is lost, and nothing is made twice.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.quotas import reservations
from chat.catalog import offered_models
from chat.catalog.presets import choose_preset
from chat.conversations.membership import WRITERS, member_of
from chat.eventlog import events
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Run
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend, check_text
from chat.protocol.errors import Busy, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, RateLimited
from chat.telemetry import metrics, tracing
from chat.turns.places import Accepted, AnyTurn, title_from
from chat.turns.statements import begin_conversation, find_submission, insert_turn, lock_place, lock_sender, sender


def accept(user_id: uuid.UUID, command: AnyTurn) -> Accepted:
    """The transaction of a turn. Raises `ChatError`s; the same (user, `client_id`) gives the same result for ever."""
    if isinstance(command, MessageSend | MessageEdit):
        check_text(command.text)
    if isinstance(command, MessageSend) and command.attachments:
        raise Invalid("Files cannot be attached here yet.")
    fingerprint = _fingerprint(command)
    known = _known(user_id, command.client_id, fingerprint)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            return _insert(user_id, command, fingerprint)
    except IntegrityError as error:
        # Lost a race against the same command (the same client_id), or against another one on this branch.
        known = _known(user_id, command.client_id, fingerprint)
        if known is not None:
            return known
        if "run_one_active_per_branch" in str(error):
            raise Busy from None
        raise


def _fingerprint(command: AnyTurn) -> bytes:
    """SHA-256 of what a command asks for, without what names it."""
    body = msgspec.structs.asdict(command)
    for name in ("ref", "client_id", "traceparent"):
        body.pop(name)
    for name in ("temporary", "preset_id"):
        if not body.get(name):
            body.pop(name, None)  # as it was before there were such
    return hashlib.sha256(msgspec.json.encode([type(command).__name__, body])).digest()


def _known(user_id: uuid.UUID, client_id: uuid.UUID, fingerprint: bytes) -> Accepted | None:
    row = find_submission(user_id, client_id)
    if row is None:
        return None
    known, conversation_id, message_id, run_id = row
    if known != fingerprint:
        raise Conflict
    member_of(user_id, conversation_id)
    return Accepted(conversation_id, message_id, run_id, duplicate=True)


@dataclass(slots=True)
class _Turn:
    """Where a command's message and answer go. `prompt`: the question is there already, and gets another answer."""

    conversation_id: uuid.UUID
    title: str
    model: str
    author: User
    metered: bool  # the author has quotas
    parent_id: uuid.UUID | None = None
    prompt: Message | None = None
    temporary: bool = False


def _insert(user_id: uuid.UUID, command: AnyTurn, fingerprint: bytes) -> Accepted:
    if isinstance(command, MessageSend):
        turn = _place_of_send(user_id, command)
    elif isinstance(command, MessageEdit):
        turn = _place_of_edit(user_id, command)
    else:
        turn = _place_of_answer(user_id, command)
    chosen = None if isinstance(command, MessageEdit) else command.model
    model = _model_for(chosen, turn.model)
    text = "" if isinstance(command, MessageRegenerate) else command.text
    prompt = turn.prompt or Message(
        conversation_id=turn.conversation_id,
        parent_id=turn.parent_id,
        role=MessageRole.USER,
        author=turn.author,
        text=text,
    )
    answer = Message(
        conversation_id=turn.conversation_id,
        parent_id=prompt.pk,
        role=MessageRole.ASSISTANT,
        status=MessageStatus.PENDING,
    )
    run = Run(
        conversation_id=turn.conversation_id,
        prompt_id=prompt.pk,
        message_id=answer.pk,
        requested_by_id=user_id,
        model=model,
        trace_id=tracing.trace_id(command.traceparent or tracing.current.get()),
    )
    asks = turn.prompt is None
    title = turn.title or title_from(text)
    members, under_way = insert_turn(
        prompt=prompt,
        answer=answer,
        run=run,
        asks=asks,
        client_id=command.client_id,
        fingerprint=fingerprint,
        title=title,
        choose_model=chosen is not None,
    )
    if 0 < settings.RATE_RUNS_PER_USER <= under_way:
        metrics.denials["runs"] += 1
        raise RateLimited("Too many of your answers are being written. Wait for one, or stop one.", retry_after=5)
    if turn.metered:  # last: from here to the commit whoever draws from the same pot waits
        try:
            reservations.reserve(user_id, run.pk, model, text=prompt.text)
        except reservations.QuotaFull as error:
            raise QuotaExceeded(str(error), retry_after=error.retry_after) from None
    announcement = [events.message_created(prompt, client_id=command.client_id)] if asks else []
    announcement.append(events.message_created(answer, client_id=None if asks else command.client_id))
    announcement.append(events.run_queued(run, attempt=1))
    return Accepted(
        turn.conversation_id,
        prompt.pk if asks else answer.pk,
        run.pk,
        duplicate=False,
        announcement=announcement,
        members=members or [user_id],
        listing={
            "conversation_id": str(turn.conversation_id),
            "title": title,
            "updated_at": answer.created_at.isoformat(),
            "temporary": turn.temporary,
        },
    )


def _model_for(chosen: str | None, usual: str) -> str:
    """The model asked for; else the conversation's, while it is still offered; else the default."""
    if chosen is None and usual in [model["id"] for model in offered_models.offered_models()]:
        return usual
    return offered_models.check_model(chosen)


def _place_of_send(user_id: uuid.UUID, command: MessageSend) -> _Turn:
    if command.conversation_id is None:
        if command.parent_id is not None:
            raise Invalid("A new conversation has no message to answer to.")
        preset = choose_preset(user_id, command.preset_id, command.model) if command.preset_id else None
        conversation_id, author, metered = begin_conversation(user_id, temporary=command.temporary, preset=preset)
        usual = preset.model if preset else ""
        return _Turn(conversation_id, "", usual, author, metered, temporary=command.temporary)
    if command.temporary:
        raise Invalid("A conversation is temporary from its first message on, or not at all.")
    if command.preset_id:
        raise Invalid("A preset is chosen with the first message of a conversation, or not at all.")
    place = lock_place(user_id, command.conversation_id, command.parent_id)
    if place is None:
        raise NotFound
    if place.member_role not in WRITERS:
        raise Forbidden
    if place.parent_id is None and place.wanted_id is not None:
        raise NotFound
    if place.answer_under_way or place.parent_status in (MessageStatus.PENDING, MessageStatus.STREAMING):
        raise Busy
    if place.parent_role == MessageRole.USER:
        # The tree would have two questions in a row.
        raise Invalid("A message goes under an answer, not under another message.")
    author = sender(user_id, place.user_name, place.user_email)
    return _Turn(
        command.conversation_id,
        place.title,
        place.model,
        author,
        place.metered,
        place.parent_id,
        temporary=place.temporary,
    )


def _place_of_edit(user_id: uuid.UUID, command: MessageEdit) -> _Turn:
    edited, member = _lock_message(user_id, command.message_id, MessageRole.USER)
    return _turn_in(edited.conversation, member.user, parent_id=edited.parent_id)


def _place_of_answer(user_id: uuid.UUID, command: MessageRegenerate) -> _Turn:
    answer, member = _lock_message(user_id, command.message_id, MessageRole.ASSISTANT)
    conversation = answer.conversation
    if answer.parent is None:
        raise Invalid("This answer has no question.")
    return _turn_in(conversation, member.user, prompt=answer.parent)


def _turn_in(
    conversation: Conversation, author: User, *, parent_id: uuid.UUID | None = None, prompt: Message | None = None
) -> _Turn:
    return _Turn(
        conversation.pk, conversation.title, conversation.model, author, lock_sender(author.pk), parent_id, prompt,
        temporary=conversation.temporary,
    )  # fmt: skip


def _lock_message(user_id: uuid.UUID, message_id: uuid.UUID, role: MessageRole) -> tuple[Message, Member]:
    """A message of a conversation the user may write in, the conversation locked against other turns."""
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member = member_of(user_id, conversation_id, write=True, with_user=True)
    Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    message = Message.objects.select_related("conversation", "parent", "parent__author").filter(pk=message_id).first()
    if message is None:  # its time was over a moment ago
        raise NotFound
    if message.role != role:
        raise Invalid("That can only be done to " + ("a message of yours." if role == "user" else "an answer."))
    return message, member

"""One turn of a conversation, from a command to rows and a job: the spine of the system.

`submit` reads top to bottom: check who and what → one transaction (idempotent insert of message, answer and run) →
enqueue → append to the log. When the broker is away the run's row is the outbox, when the log is away PostgreSQL is
the truth; `chat.recovery` brings either up to date. Nothing accepted is lost, and nothing is made twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import quotas
from accounts.models import User
from chat import catalog, events, log, metrics, stamps, traces
from chat.db import in_db
from chat.dispatch import enqueue
from chat.errors import Busy, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, RateLimited
from chat.inserts import begin_conversation, find_submission, insert_turn, lock_place, lock_sender, sender
from chat.models import (
    ACTIVE,
    Conversation,
    Member,
    Message,
    MessageRole,
    MessageStatus,
    Run,
    RunStatus,
)
from chat.notices import conversation_listed
from chat.presets import choose_preset
from chat.protocol import MessageEdit, MessageRegenerate, MessageSend, check_text
from chat.queries import WRITERS, member_of
from chat.recovery import close_in_log
from chat.runs import Ended, cut_to_heard, end_run

logger = structlog.get_logger(__name__)

AnyTurn = MessageSend | MessageEdit | MessageRegenerate
TITLE_LENGTH: Final = 60
STOP_GROUP: Final = "workers.stop"


@dataclass(slots=True)
class Accepted:
    """What a command made (or had made before, when `duplicate`)."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID  # the user's message; of a regeneration, the new answer
    run_id: uuid.UUID
    duplicate: bool
    announcement: list[events.Event] = field(default_factory=list)
    members: list[uuid.UUID] = field(default_factory=list)
    listing: dict[str, Any] = field(default_factory=dict)


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


async def submit(user_id: uuid.UUID, command: AnyTurn) -> Accepted:
    """`accept`, then the job goes to the workers and the news into the log, neither waiting for the other."""
    with traces.span("turn", attributes={"db.system.name": "postgresql"}) as span:
        accepted = await in_db(accept, user_id, command)
        if span.recording:
            span.set(
                {
                    "gen_ai.conversation.id": str(accepted.conversation_id),
                    "antiphon.run.id": str(accepted.run_id),
                    "antiphon.duplicate": accepted.duplicate,
                }
            )
    stamps.mark(accepted.run_id, "committed")
    if accepted.duplicate:
        metrics.counted.repeats += 1
    else:
        job = asyncio.ensure_future(enqueue(accepted.run_id))
        job.add_done_callback(_log_failure)
        job.add_done_callback(lambda _: stamps.mark(accepted.run_id, "enqueued"))
    return accepted


async def announce(accepted: Accepted) -> log.Appended | None:
    """Appends what `submit` made to the log. Idempotent; the worker does it when this process dies before."""
    if not accepted.announcement:
        return None
    with traces.span("announce"):
        [appended] = await log.append(
            log.Append(accepted.conversation_id, accepted.announcement, accepted.run_id, attempt=0, number=1)
        )
    stamps.mark(accepted.run_id, "announced")
    await stamps.hand_over(accepted.run_id)
    for member in accepted.members:
        await conversation_listed(member, accepted.listing)
    return appended


def _log_failure(job: asyncio.Future[None]) -> None:
    if not job.cancelled() and (error := job.exception()):
        logger.warning("enqueue_failed", error=type(error).__name__, note="the sweeper enqueues it")


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
        trace_id=traces.trace_id(command.traceparent or traces.current.get()),
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
            quotas.reserve(user_id, run.pk, model, text=prompt.text)
        except quotas.QuotaFull as error:
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
    if chosen is None and usual in [model["id"] for model in catalog.offered_models()]:
        return usual
    return catalog.check_model(chosen)


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


def title_from(text: str) -> str:
    """A conversation's first title: the start of its first message, cut between words."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"


@dataclass(slots=True)
class Stopping:
    """What a stop found. `ended`: the run was waiting and no worker had taken it yet, or its answer was cut."""

    run_id: uuid.UUID
    ended: Ended | None
    running: bool


def request_stop(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int | None = None) -> Stopping:
    """`mark_stopped`, by somebody who may write in its conversation. Raises `ChatError`s."""
    found = Run.objects.filter(pk=run_id).values_list("conversation_id", flat=True).first()
    if found is None:
        raise NotFound
    member_of(user_id, found, write=True)
    return mark_stopped(run_id, heard_chars)


def mark_stopped(run_id: uuid.UUID, heard_chars: int | None = None) -> Stopping:
    """Marks a run to be stopped; one that waits in the queue ends here. Stopping an ended run changes nothing.

    With `heard_chars` somebody talked over the answer: of one in progress its end keeps what was heard, an ended one is
    cut here. The first who says so is believed: an answer is cut once.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_id)
        ended = None
        heard = heard_chars if run.heard_chars is None else None
        if run.status not in ACTIVE:
            if heard is not None:
                ended = cut_to_heard(run, heard)
            return Stopping(run.id, ended, running=False)
        if heard is not None:
            Run.objects.filter(pk=run_id).update(heard_chars=heard)
        if run.status == RunStatus.QUEUED:
            ended = end_run(run.id, run.attempt, RunStatus.STOPPED)
        elif run.stop_requested_at is None:
            Run.objects.filter(pk=run_id).update(stop_requested_at=Now())
        return Stopping(run.id, ended, run.status == RunStatus.RUNNING)


async def stop(user_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """Stops an answer from any device. The worker is told at once; if that is lost, it reads the row within 2 s."""
    await tell_stopped(await in_db(request_stop, user_id, run_id))


async def interrupt(user_id: uuid.UUID, run_id: uuid.UUID, heard_chars: int) -> None:
    """Stops an answer that somebody talked over, and keeps of it what was heard: `heard_chars` code points."""
    await tell_stopped(await in_db(request_stop, user_id, run_id, heard_chars))


async def tell_stopped(stopping: Stopping) -> None:
    """Tells whoever writes the answer, or the conversation where it has ended. What is lost of it is made up for."""
    if stopping.ended is not None:
        await close_in_log(stopping.ended)
    elif stopping.running:
        await log.channel_layer().group_send(STOP_GROUP, {"type": "run.stop", "run_id": stopping.run_id.hex})

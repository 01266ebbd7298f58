"""The transaction of a turn: a command becomes a message, an answer to be written, and a run.

`accept` reads top to bottom: place → insert → reserve → events. `chat.turns.submit` does the rest: it enqueues the
run and announces it. If the broker is away, the run's row serves as the outbox; if Redis is away, PostgreSQL has
everything. `chat.recovery` completes either, so nothing accepted is lost and nothing is made twice.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.quotas import reservations
from chat.catalog.access import choose_model
from chat.conversations.membership import member_of
from chat.conversations.titles import title_from
from chat.eventlog import events
from chat.eventlog.store import Append
from chat.models import Message, MessageRole, MessageStatus, Run
from chat.protocol.commands import AnyTurn, MessageEdit, MessageRegenerate, MessageSend, NewTurn, clean_text
from chat.protocol.errors import Busy, Conflict, Invalid, QuotaExceeded, RateLimited
from chat.protocol.parameters import check_options
from chat.telemetry import metrics, tracing
from chat.turns.places import Place, find_place
from chat.turns.statements import find_submission, insert_turn

Check = Callable[[uuid.UUID], None]


@dataclass(slots=True)
class Accepted:
    """What a command made, or made before if `duplicate`; then there is nothing to announce."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID  # the user's message; of a regeneration, the new answer
    run_id: uuid.UUID
    announcement: Append | None = None
    members: list[uuid.UUID] = field(default_factory=list)  # whose lists of conversations change
    listing: dict[str, Any] = field(default_factory=dict)  # what they then show
    continues: bool = False  # the run extends a message that was there already

    @property
    def duplicate(self) -> bool:
        return self.announcement is None


@dataclass(slots=True)
class _Rows:
    """The rows of a turn. `prompt` exists already if the command is a regeneration (`is_new` is false)."""

    prompt: Message
    answer: Message
    run: Run
    title: str
    is_new: bool
    members: list[uuid.UUID] = field(default_factory=list)


def accept_any(conversation_id: uuid.UUID) -> None:
    """The check of callers that have no limit of their own."""


def accept(user_id: uuid.UUID, command: NewTurn, check: Check = accept_any) -> Accepted:
    """Carries out a turn in one transaction. The same (user, `client_id`) gives the same result for ever.

    `check` gets the conversation's id before anything is committed, and may refuse the command by raising. It is not
    asked about a duplicate. Raises `ChatError`s.
    """
    if isinstance(command, MessageSend | MessageEdit):
        command = msgspec.structs.replace(command, text=clean_text(command.text))
    if command.options is not None:
        command = msgspec.structs.replace(command, options=check_options(command.options))
    if isinstance(command, MessageSend) and command.attachments:
        raise Invalid("Files can't be attached yet.")
    fingerprint = fingerprint_of(command)
    known = find_known(user_id, command.client_id, fingerprint)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            place = find_place(user_id, command)
            check(place.conversation_id)
            rows = _insert(user_id, command, fingerprint, place)
            _reserve(user_id, place, rows)
            return _accepted(command, place, rows)
    except IntegrityError as error:
        # Another command won the race: the same one (the same client_id), or a different one on this branch.
        known = find_known(user_id, command.client_id, fingerprint)
        if known is not None:
            return known
        if "run_one_active_per_branch" in str(error):
            raise Busy from None
        raise


def fingerprint_of(command: AnyTurn) -> bytes:
    """SHA-256 of what a command asks for, without the fields that only identify it."""
    body = msgspec.structs.asdict(command)
    for name in ("ref", "client_id", "traceparent"):
        body.pop(name)
    for name in ("temporary", "preset_id", "options"):
        if not body.get(name):
            body.pop(name, None)  # fingerprints from before these fields existed stay valid
    return hashlib.sha256(msgspec.json.encode([type(command).__name__, body])).digest()


def find_known(
    user_id: uuid.UUID, client_id: uuid.UUID, fingerprint: bytes, *, continues: bool = False
) -> Accepted | None:
    """What a command made when it was carried out before, or None. Raises `Conflict` if it was another command."""
    row = find_submission(user_id, client_id)
    if row is None:
        return None
    known, conversation_id, message_id, run_id = row
    if known != fingerprint:
        raise Conflict
    member_of(user_id, conversation_id)
    return Accepted(conversation_id, message_id, run_id, continues=continues)


def _insert(user_id: uuid.UUID, command: NewTurn, fingerprint: bytes, place: Place) -> _Rows:
    """Writes the rows in one statement, which also counts the user's runs under way."""
    chosen = None if isinstance(command, MessageEdit) else command.model
    text = "" if isinstance(command, MessageRegenerate) else command.text
    prompt = place.prompt or Message(
        conversation_id=place.conversation_id,
        parent_id=place.parent_id,
        role=MessageRole.USER,
        author=place.author,
        text=text,
    )
    answer = Message(
        conversation_id=place.conversation_id,
        parent_id=prompt.pk,
        role=MessageRole.ASSISTANT,
        status=MessageStatus.PENDING,
    )
    run = Run(
        conversation_id=place.conversation_id,
        prompt_id=prompt.pk,
        message_id=answer.pk,
        requested_by_id=user_id,
        model=choose_model(user_id, chosen, place.model),
        **asked_once(command),
        trace_id=tracing.trace_id(command.traceparent or tracing.current.get()),
    )
    rows = _Rows(prompt, answer, run, place.title or title_from(text), is_new=place.prompt is None)
    rows.members, under_way = insert_turn(
        prompt=prompt,
        answer=answer,
        run=run,
        asks=rows.is_new,
        client_id=command.client_id,
        fingerprint=fingerprint,
        title=rows.title,
        choose_model=chosen is not None,
    )
    check_runs_under_way(under_way)
    return rows


def asked_once(command: NewTurn) -> dict[str, Any]:
    """The fields of the run for what is asked for this answer alone; a new conversation keeps its first options itself.

    Raises `Invalid`.
    """
    options = command.options
    if options is None or (isinstance(command, MessageSend) and command.conversation_id is None):
        return {}
    if options.system_prompt is not None:
        raise Invalid("Only a new conversation gets its system prompt with a message. Change it in its parameters.")
    asked = {"temperature": options.temperature, "max_tokens": options.max_tokens}
    asked = {name: value for name, value in asked.items() if value is not None}
    return {"effort": options.effort or "", "parameters": {"asked": asked} if asked else {}}


def check_runs_under_way(count: int) -> None:
    """Raises `RateLimited` if a user who has `count` runs in progress may not begin another one."""
    if 0 < settings.RATE_RUNS_PER_USER <= count:
        metrics.denials["runs"] += 1
        raise RateLimited("Too many answers are in progress. Wait for one to finish, or stop one.", retry_after=5)


def _reserve(user_id: uuid.UUID, place: Place, rows: _Rows) -> None:
    """Reserves what the run may use of the author's quotas.

    The last statement of the transaction: from here to the commit everybody who shares a quota waits.
    """
    if place.metered:
        reserve_quota(user_id, rows.run, text=rows.prompt.text)


def reserve_quota(user_id: uuid.UUID, run: Run, *, text: str) -> None:
    """Reserves what a run that reads `text` may use. Raises `QuotaExceeded`."""
    try:
        reservations.reserve(user_id, run.pk, run.model, text=text)
    except reservations.QuotaFull as error:
        raise QuotaExceeded(str(error), retry_after=error.retry_after) from None


def _accepted(command: NewTurn, place: Place, rows: _Rows) -> Accepted:
    """The result, with the events that announce it."""
    client_id = command.client_id
    announced = [events.message_created(rows.prompt, client_id=client_id)] if rows.is_new else []
    announced.append(events.message_created(rows.answer, client_id=None if rows.is_new else client_id))
    announced.append(events.run_queued(rows.run, attempt=1))
    return Accepted(
        place.conversation_id,
        rows.prompt.pk if rows.is_new else rows.answer.pk,
        rows.run.pk,
        Append(place.conversation_id, announced, rows.run.pk, attempt=0, number=1),
        rows.members or [place.author.pk],
        {
            "conversation_id": str(place.conversation_id),
            "title": rows.title,
            "updated_at": rows.answer.created_at.isoformat(),
            "temporary": place.temporary,
        },
    )

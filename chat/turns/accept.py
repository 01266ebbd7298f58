"""The transaction of a turn: a command becomes a message, an answer to be written, and a run.

`accept` reads top to bottom: place → screen → insert → reserve → events. A message that asks nobody goes another way
once its place is known (`chat.turns.unasked`). `chat.turns.submit` does the rest: it enqueues the run and announces it.
If the broker is away, the run's row serves as the outbox; if Redis is away, PostgreSQL has everything. `chat.recovery`
completes either, so nothing accepted is lost and nothing is made twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.lib.postgresql.prepared import with_prepared
from accounts.quotas import reservations
from chat.eventlog import events
from chat.eventlog.store import Append
from chat.models import Comparison, Message, MessageRole, MessageStatus, Run, RunStatus, WaitingFor
from chat.models.conversations import title_from
from chat.models.moderation import Direction
from chat.moderation.screening import Refusal, refuse, screen_message, screen_title
from chat.protocol.commands import ApiSend, MessageEdit, MessageRegenerate, MessageSend, NewTurn, QueuedSend
from chat.protocol.errors import Busy, ChatError, Invalid, QuotaExceeded
from chat.protocol.functions import question_of
from chat.protocol.parameters import check_options
from chat.telemetry import tracing
from chat.turns.accepted import Accepted, Check, accept_any, find_known, fingerprint_of
from chat.turns.api_requests import count_for_token, screen_request, store_request
from chat.turns.attaching import attach, clean_message, lock_files, note_files, title_of
from chat.turns.comparing import compared_models, insert_comparison, models_of
from chat.turns.limits import check_runs_under_way, reserve_quota
from chat.turns.mentioning import note_mentions, people_of, store_mentions
from chat.turns.places import Place, find_place
from chat.turns.statements import TURN, insert_turn
from chat.turns.unasked import accept_unasked

PREPARED: Final = (*TURN, *reservations.PREPARED)


@dataclass(slots=True)
class _Rows:
    """The rows of a turn. `prompt` exists already if the command is a regeneration (`is_new` is false).

    There is one answer with its run, or several side by side with their `comparison`.
    """

    prompt: Message
    answers: list[Message]
    runs: list[Run]
    title: str
    is_new: bool
    held: bool
    comparison: Comparison | None = None
    members: list[uuid.UUID] = field(default_factory=list)
    told: Sequence[uuid.UUID] = ()  # who is told that the question mentions them


def accept(
    user_id: uuid.UUID,
    command: NewTurn,
    check: Check = accept_any,
    direction: Direction = Direction.ASKED,
    token_id: uuid.UUID | None = None,
) -> Accepted:
    """Carries out a turn in one transaction. The same (user, `client_id`) gives the same result for ever.

    `check` gets the conversation's id before anything is committed, and may refuse the command by raising. It is not
    asked about a duplicate. The text is screened by the rules of `direction`. What is asked counts for the API token
    `token_id`, if there is one. Raises `ChatError`s.
    """
    if isinstance(command, MessageSend | MessageEdit) and not isinstance(command, ApiSend):
        edited = isinstance(command, MessageEdit)
        text = clean_message(command.text, command.attachments, edited=edited)
        command = msgspec.structs.replace(command, text=text)
    if command.options is not None:
        command = msgspec.structs.replace(command, options=check_options(command.options))
    compared_models(command)
    return with_prepared(
        PREPARED, partial(_accept, user_id, command, fingerprint_of(command), check, direction, token_id)
    )


def _accept(
    user_id: uuid.UUID,
    command: NewTurn,
    fingerprint: bytes,
    check: Check,
    direction: Direction,
    token_id: uuid.UUID | None,
) -> Accepted:
    """`accept` for a command whose text is clean. Whether it was carried out before is asked only where something
    refuses it: at the latest the constraint that its id is new does.
    """
    try:
        with transaction.atomic():
            place = find_place(user_id, command)
            check(place.conversation_id)
            files = lock_files(user_id, place.conversation_id, command, _text_of(command))
            if not place.asks and not isinstance(command, MessageRegenerate):
                return accept_unasked(user_id, command, fingerprint, place, direction, files)
            models = models_of(user_id, command, place.model, place.named_model)
            prompt = place.prompt or _prompt_of(command, place)
            if place.prompt is None:
                note_files(prompt, files)
            if isinstance(command, ApiSend):
                turns, held = screen_request(prompt, command, models), False
            else:
                held = place.prompt is None and screen_message(prompt, models, direction)
                if place.prompt is None:
                    note_mentions(prompt)
            rows = _insert(user_id, command, fingerprint, place, prompt, models, held=held)
            if isinstance(command, ApiSend):
                store_request(prompt, command, turns)
            if token_id is not None:
                count_for_token(token_id, len(rows.runs))
            _reserve(user_id, command, place, rows)
            return _accepted(command, place, rows)
    except (Refusal, ChatError, IntegrityError) as error:
        # Or another command won the race: the same one (the same client_id), or a different one on this branch.
        known = find_known(user_id, command.client_id, fingerprint)
        if known is not None:
            return known
        if isinstance(error, Refusal):
            raise refuse(error, user_id, command.client_id) from None
        if "run_one_active_per_branch" in str(error):
            raise Busy from None
        raise


def _prompt_of(command: NewTurn, place: Place) -> Message:
    """The message that a command asks, not written yet."""
    return Message(
        **({"id": command.queued_id} if isinstance(command, QueuedSend) else {}),
        conversation_id=place.conversation_id, parent_id=place.parent_id, role=MessageRole.USER, author=place.author,
        text=_text_of(command),
    )  # fmt: skip


def _text_of(command: NewTurn) -> str:
    return "" if isinstance(command, MessageRegenerate) else command.text


def _insert(
    user_id: uuid.UUID,
    command: NewTurn,
    fingerprint: bytes,
    place: Place,
    prompt: Message,
    models: Sequence[str],
    *,
    held: bool,
) -> _Rows:
    """Writes the rows in one statement, which also counts the user's runs under way."""
    chosen = None if isinstance(command, MessageEdit) else command.model
    answers = [
        Message(
            conversation_id=place.conversation_id,
            parent_id=prompt.pk,
            role=MessageRole.ASSISTANT,
            status=MessageStatus.PENDING,
        )
        for _ in models
    ]
    several = len(models) > 1
    runs = [
        Run(
            conversation_id=place.conversation_id,
            prompt_id=prompt.pk,
            message_id=answer.pk,
            requested_by_id=user_id,
            model=model,
            slot=number if several else place.slot,
            status=RunStatus.WAITING if held else RunStatus.QUEUED,
            waiting_for=WaitingFor.MODERATION if held else "",
            **asked_once(command),
            trace_id=tracing.trace_id(command.traceparent or tracing.current.get()),
        )
        for number, (model, answer) in enumerate(zip(models, answers, strict=True), 1)
    ]
    asked = title_from(question_of(command.turns)) if isinstance(command, ApiSend) else title_of(prompt)
    title = place.title or screen_title(asked, user_id)
    rows = _Rows(prompt, answers, runs, title, is_new=place.prompt is None, held=held)
    rows.members, under_way = insert_turn(
        prompt=prompt,
        answer=answers[0],
        run=runs[0],
        asks=rows.is_new,
        client_id=command.client_id,
        fingerprint=fingerprint,
        title=rows.title,
        # Of several models the one of the chosen answer becomes the conversation's.
        choose_model=not (several or place.slot or place.named_model)
        and (chosen is not None or place.choice is not None),
        below=place.followed,
    )
    check_runs_under_way(under_way, wanted=len(runs))
    if rows.is_new:
        rows.told = store_mentions(prompt)
        attach(prompt, prompt.shown_files or ())
    if several:
        rows.comparison = insert_comparison(prompt, answers, runs)
    return rows


def asked_once(command: NewTurn) -> dict[str, Any]:
    """The fields of the run for what is asked for this answer alone; a new conversation keeps its first options itself.

    Raises `Invalid`.
    """
    options = command.options
    if isinstance(command, ApiSend):
        wishes = {
            "top_p": command.top_p, "choice": command.choice or None, "one_call": command.one_call or None,
            "logprobs": command.logprobs,
        }  # fmt: skip
        wishes = {name: value for name, value in wishes.items() if value is not None}
        return {"parameters": {"asked": wishes}} if wishes else {}
    if options is None or (isinstance(command, MessageSend) and command.conversation_id is None):
        return {}
    if options.web_search is not None:
        raise Invalid(_("Only a new conversation gets its web search with a message. Switch it in the conversation."))
    if options.collections is not None:
        raise Invalid(
            _("Only a new conversation gets its collections with a message. Choose them in the conversation.")
        )
    if options.system_prompt is not None:
        raise Invalid(_("Only a new conversation gets its system prompt with a message. Change it in its parameters."))
    asked = {"temperature": options.temperature, "max_tokens": options.max_tokens, "tools": options.tools}
    asked = {name: value for name, value in asked.items() if value is not None}
    return {"effort": options.effort or "", "parameters": {"asked": asked} if asked else {}}


def _reserve(user_id: uuid.UUID, command: NewTurn, place: Place, rows: _Rows) -> None:
    """Reserves what each run may use of the author's quotas: of all runs, or of none.

    The last statements of the transaction: from here to the commit everybody who shares a quota waits.
    """
    if not place.metered:
        return
    if rows.comparison is not None:
        reservations.lock_balances(user_id, [run.model for run in rows.runs])
    for reserved, run in enumerate(rows.runs):
        try:
            reserve_quota(user_id, run, text=_text_of(command) if rows.held else rows.prompt.text)
        except QuotaExceeded as error:
            if not reserved:
                raise
            raise QuotaExceeded(
                f"Your quota has room for {reserved} of these {len(rows.runs)} answers. {error.message}",
                retry_after=error.retry_after,
            ) from None


def _accepted(command: NewTurn, place: Place, rows: _Rows) -> Accepted:
    """The result, with the events that announce it."""
    answer, run = rows.answers[0], rows.runs[0]
    return Accepted(
        place.conversation_id,
        rows.prompt.pk if rows.is_new else answer.pk,
        run.pk,
        _announcements(command, place, rows),
        rows.runs if rows.comparison is not None else (),
        rows.members or [place.author.pk],
        {
            "conversation_id": str(place.conversation_id),
            "title": rows.title,
            "updated_at": answer.created_at.isoformat(),
            "temporary": place.temporary,
        },
        held=rows.held,
        mentioned=rows.told,
        unnotified=rows.is_new and len(rows.told) < len(people_of(rows.prompt)),
    )


def _announcements(command: NewTurn, place: Place, rows: _Rows) -> list[Append]:
    """The first events of each run, in its own append: a worker makes up for one that is missing, by its run."""
    client_id = command.client_id
    opening = [events.answer_chosen(place.conversation_id, place.choice)] if place.choice else []
    if rows.is_new:
        opening.append(events.message_created(rows.prompt, client_id=client_id, comparison=rows.comparison))
        opening += events.moderation_notices(rows.prompt)
    appends = []
    for answer, run in zip(rows.answers, rows.runs, strict=True):
        told = None if rows.is_new else client_id
        announced = [
            *opening,
            events.message_created(answer, client_id=told, slot=run.slot, asked_by=place.author),
            events.run_announced(run),
        ]
        appends.append(Append(place.conversation_id, announced, run.pk, attempt=0, number=1))
        opening = []
    return appends

"""Ends a run: its last state, its message, its settlement, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.quotas.balance import Balance
from accounts.quotas.settlement import Used, settle_run
from chat.eventlog import events
from chat.models import ACTIVE, Conversation, Message, MessageStatus, Run, RunStatus
from chat.runs.barge_in import keep_what_was_heard
from chat.runs.context import read_branch

TERMINAL_NUMBER: Final = (
    1_000_000_000  # of an attempt's closing append, so that any process may make it, once (chat.eventlog.store)
)
CHARACTERS_OF_A_LOST_TOKEN: Final = 4  # about, in what was read and written by a worker that was lost


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a run at its end. Times in milliseconds."""

    text: str
    html: str = ""
    error_code: str = ""
    error_message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0  # of the input
    reasoning_tokens: int = 0  # of the output
    usage_estimated: bool = False
    endpoint: str = ""  # host of the one that answered, or was asked last
    first_token_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has just ended, and its closing event, to be appended under its attempt and `TERMINAL_NUMBER`;
    after it, under the next number, what is `kept` of an answer that somebody talked over.
    """

    conversation_id: uuid.UUID
    run_id: uuid.UUID
    attempt: int
    event: events.Event
    silent: bool  # it ended without a word, so nobody loses anything by being told of the message again
    user_id: uuid.UUID | None = None
    near: Sequence[Balance] = ()  # quotas the user is near the end of, with this run
    kept: events.Event | None = None
    whole: bool = True  # the log has all of the answer's text
    used: Used | None = None  # what it is billed with, when it has ended just now
    cost: Decimal | None = None


def end_run(
    run_id: uuid.UUID,
    attempt: int,
    status: RunStatus,
    ending: Ending | None = None,
    *,
    owner: str | None = None,
    expired: bool = False,
) -> Ended | None:
    """Ends an active run. None when the attempt is over already, is not `owner`'s, or (with `expired`) still has a
    lease: then nothing was changed.

    A run that was still queued ends as the attempt it was waiting for. Without an `ending` the stored text stays.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status__in=ACTIVE)
        if owner is not None:
            held = held.filter(lease_owner=owner)
        if expired:
            held = held.filter(lease_expires_at__lt=Now())
        run = held.first()
        if run is None:
            return None
        message = Message.objects.get(pk=run.message_id)
        if run.status == RunStatus.QUEUED:
            run.attempt += 1
        run.status = status
        run.finished_at = Now()
        run.lease_expires_at = None
        message.status = MessageStatus.COMPLETE if status == RunStatus.DONE else MessageStatus(status.value)
        if ending is not None:
            message.text = ending.text
            message.html = ending.html
            for name in (
                "error_code",
                "input_tokens",
                "output_tokens",
                "usage_estimated",
                "first_token_ms",
                "total_ms",
            ):
                setattr(run, name, getattr(ending, name))
            run.error_message = ending.error_message
            run.endpoint = ending.endpoint or run.endpoint  # of a lost worker's run the last checkpoint knows it
        used = _used(run, ending)
        if used is not None:  # the run says what is billed, also where nobody counted
            run.input_tokens, run.output_tokens = used.input_tokens, used.output_tokens
            run.usage_estimated = used.estimated
        keep_what_was_heard(run, message)  # what was written is billed, whoever heard it
        message.save(update_fields=["text", "html", "status"])
        # Late: from here to the commit whoever draws from the same pot waits.
        settled = settle_run(run.requested_by_id, run.pk, run.created_at, used, conversation_id=run.conversation_id)
        run.cost = settled.cost
        run.save()
        return replace(
            ended_of(run, message), user_id=run.requested_by_id, near=settled.near, used=used, cost=settled.cost
        )


def cut_to_heard(run: Run, heard_chars: int) -> Ended | None:
    """Cuts the answer of an ended run, which the caller has locked; None when all of it was heard. Once for each run.

    The run stays what it was: its attempt has had its one end.
    """
    message = Message.objects.select_related("author").get(pk=run.message_id)
    run.heard_chars = heard_chars
    if not keep_what_was_heard(run, message):
        return None
    run.ended_in_log = False  # until the log has the cut too
    run.save(update_fields=["heard_chars", "produced_chars", "ended_in_log"])
    message.save(update_fields=["text", "html", "status"])
    return ended_of(run, message)


def _used(run: Run, ending: Ending | None) -> Used | None:
    """What a run goes into the ledger with. One that failed without a word, or never began, used nothing."""
    if ending is None or (run.status == RunStatus.FAILED and not ending.text):
        return None
    used = Used(run.model, run.endpoint, messages=1)
    if ending.output_tokens is None:  # its worker was lost, and nobody counted
        # The endpoint was asked if it had said a word, or is known from a checkpoint.
        read = _tokens_read(run) if ending.text or run.endpoint else 0
        written = -(-len(ending.text) // CHARACTERS_OF_A_LOST_TOKEN)
        return replace(used, input_tokens=read, output_tokens=written, estimated=True)
    return replace(
        used,
        input_tokens=ending.input_tokens or 0,
        cached_tokens=ending.cached_tokens,
        output_tokens=ending.output_tokens,
        reasoning_tokens=ending.reasoning_tokens,
        estimated=ending.usage_estimated,
    )


def _tokens_read(run: Run) -> int:
    """About how many tokens the model was given; never more than it takes."""
    prompt = Conversation.objects.values_list("system_prompt", flat=True).get(pk=run.conversation_id)
    characters = len(prompt or settings.SYSTEM_PROMPT) + sum(len(text) for _, text in read_branch(run.prompt_id))
    return min(-(-characters // CHARACTERS_OF_A_LOST_TOKEN), settings.MODEL_CONTEXT_TOKENS)


def mark_ended_in_log(run_ids: Sequence[uuid.UUID]) -> None:
    Run.objects.filter(pk__in=run_ids).update(ended_in_log=True)


def announcements(run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[events.Event]]:
    """What should stand in the log before anything else of these runs."""
    runs = Run.objects.select_related("message", "prompt__author").filter(pk__in=run_ids)
    return {
        run.pk: [
            events.message_created(run.prompt),
            events.message_created(run.message),
            events.run_queued(run, attempt=1),
        ]
        for run in runs
    }


def ended_of(run: Run, message: Message) -> Ended:
    """The closing events of a run that has ended."""
    cut = run.produced_chars is not None
    return Ended(
        run.conversation_id,
        run.pk,
        run.attempt,
        events.run_ended(run, message),
        silent=not message.text and not cut,
        kept=events.message_updated(message, run) if cut else None,
    )

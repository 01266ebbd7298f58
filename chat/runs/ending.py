"""Ends a run: its final state, its message and its settlement, in one transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now

from accounts.quotas.balance import Balance
from accounts.quotas.settlement import Used, settle_run
from chat.eventlog import events
from chat.eventlog.costs import untold_cost
from chat.eventlog.payloads import MODERATED
from chat.files.sources import StoredSource, cited_sources
from chat.files.uses import UsedFile, record_uses, stored_uses
from chat.models import ACTIVE, Message, MessageStatus, Reasoning, Run, RunStatus
from chat.runs.barge_in import Cut, cut_answer
from chat.runs.context import earlier_runs
from chat.runs.lost import Lost, estimate_lost
from chat.runs.step_ending import end_steps, step_notices, without_message
from chat.runs.unread import note_unread


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a run at its end. Times in milliseconds.

    `rendered` has HTML by text: of the whole text, and of the part that the user heard. What has none is stored without
    HTML, and a worker makes it soon (`workers.runtime.rendering`): nothing is rendered here, where rows are locked.
    """

    text: str
    reasoning: str = ""  # what the model thought
    reasoning_ms: int | None = None  # None: what the last checkpoint says
    finish: str = ""  # how a complete answer ended (`chat.models.statuses.Finish`)
    upstream_said: str = ""  # the provider's words about a failure, for staff
    upstream_request: str = ""
    upstream_model: str = ""  # who answered, in the provider's words
    rendered: Mapping[str, str] = field(default_factory=dict)
    error_code: str = ""
    error_message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0  # of the input
    reasoning_tokens: int = 0  # of the output
    usage_estimated: bool = False
    reported_cost: Decimal | None = None  # what the provider says that it cost, in USD
    usage_implausible: bool = False  # what was reported cannot be right, so it was estimated
    endpoint: str = ""  # host of the one that answered, or was asked last
    context_window: int | None = None  # of the model, in tokens, where known
    context_dropped: int = 0  # older messages that were left out of the request
    first_token_ms: int | None = None
    first_reasoning_ms: int | None = None
    total_ms: int | None = None
    parameters: Mapping[str, Any] | None = None  # as the run's row has them; None: nobody knows what was sent
    files: Sequence[UsedFile] = ()  # what the model got of the files
    sources: Sequence[StoredSource] = ()  # the passages of collections that it got; those that `text` cites are kept

    def run_fields(self) -> dict[str, Any]:
        """The fields that are columns of the run's row."""
        fields = {name: value for name, value in asdict(self).items() if name in _RUN_COLUMNS}
        if self.reasoning_ms is None:
            del fields["reasoning_ms"]
        del fields["parameters"]
        if self.parameters is not None:
            files = {"files": stored_uses(self.files)} if self.files else {}
            cited = cited_sources(self.sources, self.text)
            fields["parameters"] = json.dumps({**self.parameters, **files, **({"sources": cited} if cited else {})})
        return fields | {"reasoning_chars": len(self.reasoning)}


_RUN_COLUMNS: Final = frozenset(field.attname for field in Run._meta.concrete_fields)  # noqa: SLF001  # Django documents it


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has just ended, with its closing event, and after it `kept`: what is kept of an answer that the user
    talked over, or a question that stays withheld. `chat.runs.closing` appends both to the event log, and just before
    the end the `notices` of what moderation did to the answer.
    """

    conversation_id: uuid.UUID
    run_id: uuid.UUID
    attempt: int
    event: events.Event
    silent: bool  # it ended without any text or reasoning, so announcing its message again loses nothing
    user_id: uuid.UUID | None = None
    near: Sequence[Balance] = ()  # quotas the user has nearly used up, with this run
    kept: events.Event | None = None
    notices: Sequence[events.Event] = ()
    whole: bool = True  # the event log has all of the answer's text
    used: Used | None = None  # what it is billed with, if it has ended just now
    cost: Decimal | None = None
    may_go_on: bool = True  # messages may wait for its end (`chat.turns.going_on`)
    untold: str | None = None  # the cost, where the events do not tell it to all readers, but the payer may know it


# Called within the transaction that ends a run, once it is billed. `chat.apps` adds what other systems are told.
on_ended: list[Callable[[Run], None]] = []
# Whether one of `on_ended` has something to do for whoever asked (None: nobody): then an ending is not a plain one.
wants_ended: list[Callable[[uuid.UUID | None], bool]] = []


def end_run(
    run_id: uuid.UUID,
    attempt: int,
    status: RunStatus,
    ending: Ending | None = None,
    *,
    owner: str | None = None,
    expired: bool = False,
    why: tuple[str, str] = ("", ""),
    unread: bool = True,
    moderate: Callable[[], Mapping[str, str]] | None = None,
) -> Ended | None:
    """Ends an active run. Returns None and changes nothing if the attempt is over, is not `owner`'s, or (with
    `expired`) still has a lease.

    A run that was queued or waiting ends as the attempt it was waiting for. Without an `ending` the stored text stays
    and nothing is billed; `why` is then its code and sentence. `unread`: no judge may have read the question or the
    answer, because no worker began, or the one that did was lost: both are judged later. `moderate` opens the case of
    what the answer lacks, and returns what `Message.moderation` says of it; it is called within the transaction.
    """
    with transaction.atomic(savepoint=False):
        run = _lock(run_id, attempt, owner=owner, expired=expired)
        if run is None:
            return None
        message = Message.objects.get(pk=run.message_id)
        if ending is None:
            fields: dict[str, Any] = {"error_code": why[0], "error_message": why[1]} if why[0] else {}
        else:
            message.text, message.html = ending.text, ending.rendered.get(ending.text, "")
            # Of a lost worker's run the last checkpoint knows the endpoint.
            fields = ending.run_fields() | {"endpoint": ending.endpoint or run.endpoint}
        message.status = MessageStatus.COMPLETE if status == RunStatus.DONE else MessageStatus(status.value)
        used = _used(run, status, ending)
        steps = end_steps(run, status) if run.step_count else None
        if steps is not None:
            used = without_message(used)
        if used is not None:  # the run shows what is billed, also where it was estimated
            fields |= {
                "input_tokens": used.input_tokens,
                "output_tokens": used.output_tokens,
                "reasoning_tokens": used.reasoning_tokens,
                "usage_estimated": used.estimated,
            }
        if ending is not None:
            _store_reasoning(run, ending.reasoning)
            if ending.files:
                record_uses(run.pk, ending.files)
        # What was written is billed, also if the user did not hear it.
        cut = _cut(message, run.heard_chars, ending.rendered if ending else {})
        if moderate is not None:
            message.moderation = dict(moderate()) or message.moderation
        message.save(update_fields=["text", "html", "status", *(["moderation"] if moderate else [])])
        if unread:
            note_unread([run.prompt_id, run.message_id])
        # As late as possible: from here to the commit everybody who shares a quota waits.
        settled = settle_run(run.requested_by_id, run.pk, run.created_at, used, conversation_id=run.conversation_id)
        fields |= {"cost": settled.cost} if steps is None else steps.fields(used, settled.cost)
        run = _update(
            run.pk,
            status=status.value,
            waiting_for="",
            attempt=run.attempt if run.status == RunStatus.RUNNING else run.attempt + 1,
            lease_expires_at=None,
            heard_chars=cut.heard_chars if cut else None,
            produced_chars=cut.produced_chars if cut else None,
            ended_in_log=False,  # also of one that waited for a person: then it says that the log has the wait
            **fields,
        )
        for note in on_ended:
            note(run)
        ended = ended_of(run, message)
        return replace(
            ended, user_id=run.requested_by_id, near=settled.near, used=used, cost=run.cost, untold=untold_cost(run)
        )


def cut_to_heard(run: Run, heard_chars: int) -> Ended | None:
    """Cuts the answer of an ended run, which the caller has locked, once. None if all of it was heard.

    The run keeps its status: its attempt has had its one end.
    """
    message = Message.objects.select_related("author").get(pk=run.message_id)
    cut = _cut(message, heard_chars, {})
    if cut is None:
        return None
    run.heard_chars, run.produced_chars = cut.heard_chars, cut.produced_chars
    run.ended_in_log = False  # until the log has the cut, too
    run.save(update_fields=["heard_chars", "produced_chars", "ended_in_log"])
    message.save(update_fields=["text", "html", "status"])
    return ended_of(run, message)


def ended_of(run: Run, message: Message) -> Ended:
    """The closing events of a run that has ended. Of one that another run has continued since, `message` has more text
    by now: it ended where that one began.
    """
    if not run.latest:
        begun = Run.objects.values_list("base_chars", flat=True).get(message_id=run.message_id, part=run.part + 1)
        event = events.run_ended(run, message, text_length=begun)
        return Ended(run.conversation_id, run.pk, run.attempt, event, silent=False)
    cut = run.produced_chars is not None
    earlier = earlier_runs(run)
    changed = events.message_updated(message, run, earlier) if cut else _withheld_question(run)
    return Ended(
        run.conversation_id,
        run.pk,
        run.attempt,
        events.run_ended(run, message, earlier),
        silent=len(message.text) <= run.base_chars
        and not (cut or run.reasoning_chars or run.step_count or _withdrawn(run)),
        kept=changed,
        notices=[*step_notices(run), *events.moderation_notices(message, run)],
    )


def _withdrawn(run: Run) -> bool:
    """Whether moderation has ended an answer that had begun: its log may have what is withheld now."""
    return run.error_code == MODERATED and run.started_at is not None


def _withheld_question(run: Run) -> events.Event | None:
    """The question of a run that nobody claimed, if the run ended because the question was withdrawn or refused."""
    if run.status != RunStatus.STOPPED or run.started_at is not None:
        return None
    prompt = Message.objects.select_related("author").get(pk=run.prompt_id)
    return events.message_updated(prompt, None) if prompt.moderation else None


def _store_reasoning(run: Run, text: str) -> None:
    if text:
        Reasoning.objects.bulk_create(
            [Reasoning(run=run, text=text)], update_conflicts=True, unique_fields=["run"], update_fields=["text"]
        )
    elif run.reasoning_chars:
        Reasoning.objects.filter(run=run).delete()


def _lock(run_id: uuid.UUID, attempt: int, *, owner: str | None, expired: bool) -> Run | None:
    found = Run.objects.select_for_update().filter(pk=run_id, attempt=attempt, status__in=ACTIVE)
    if owner is not None:
        found = found.filter(lease_owner=owner)
    if expired:
        found = found.filter(lease_expires_at__lt=Now())
    return found.first()


def _update(run_id: uuid.UUID, **fields: Any) -> Run:
    """Writes the end of a run in one statement; the row as it then is."""
    assignments = ", ".join(f"{name} = %s" for name in fields)
    [run] = Run.objects.raw(
        f"UPDATE chat_run SET finished_at = statement_timestamp(), {assignments} WHERE id = %s RETURNING *",  # noqa: S608 -- column names
        [*fields.values(), run_id],
    )
    return run


def _cut(message: Message, heard_chars: int | None, rendered: Mapping[str, str]) -> Cut | None:
    """Cuts a message to what was heard of it, if the user talked over it; whether it did, and how."""
    cut = cut_answer(message.text, heard_chars)
    if cut is not None:
        message.text, message.html = cut.text, rendered.get(cut.text, "")
        if message.status == MessageStatus.COMPLETE:
            message.status = MessageStatus.STOPPED
    return cut


def _used(run: Run, status: RunStatus, ending: Ending | None) -> Used | None:
    """What a run is billed with. One that failed without any text, or never began, used nothing, but for the thinking
    that the provider reported.
    """
    if ending is None:
        return None
    reported = ending.reasoning_tokens and not ending.usage_estimated
    text = ending.text[run.begins_with :]  # what this attempt has written
    if status == RunStatus.FAILED and not text and not reported:
        return None
    endpoint = ending.endpoint or run.endpoint
    used = Used(run.model, endpoint, messages=1)
    if ending.output_tokens is None:  # its worker was lost, and nobody counted
        # The endpoint was certainly asked if there is text, or if a checkpoint knows it.
        lost = estimate_lost(run, Lost(ending.text, ending.reasoning), asked=bool(endpoint) and not run.step_count)
        return replace(lost, endpoint=endpoint, messages=1)
    return replace(
        used,
        input_tokens=ending.input_tokens or 0,
        cached_tokens=ending.cached_tokens,
        output_tokens=ending.output_tokens,
        reasoning_tokens=ending.reasoning_tokens,
        estimated=ending.usage_estimated,
        reported_cost=ending.reported_cost,
    )

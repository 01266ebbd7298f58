"""The rows of a run's steps and calls while a worker writes the answer. Sync; each function is one transaction.

Every write locks the run first and names its attempt and owner, as in `chat.runs.claims`: a worker that has lost its
lease changes nothing, and what comes after a stop or the end is dropped. What is committed here survives every attempt:
the next one goes on after it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, F, Max, Prefetch, Q, Sum

from accounts.lib.ids import uuid7
from accounts.quotas.settlement import Used, settle_background, settle_step
from chat.models import (
    CALL_ENDED,
    CallStatus,
    Conversation,
    Message,
    MessageStatus,
    Reasoning,
    Run,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
    ToolCall,
    ToolFile,
)
from chat.runs.clock import DATABASE_TIME
from chat.runs.context import ClaimedRun
from chat.runs.tool_switch import tools_stopped

IN_TRASH: Final = "This call was not made: the conversation was moved to the trash."
RETURNED: Final = "Returned to the program that asked. It makes this call itself."
TOOL: Final = "tool"  # the purpose of an entry in the ledger for a call


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that a model asks for. `upstream_id` is its id in the model's words."""

    upstream_id: str
    name: str
    arguments: str
    title: str = ""
    server: str = ""
    effect: str = "writes"


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A finished request to the model that asks for calls. `text` and `reasoning` are all of the answer so far, which
    the event log has up to (`epoch`, `seq`). `after` is the number of the last step before it, 0: there is none.
    """

    text: str
    reasoning: str
    reasoning_ms: int
    epoch: str
    seq: int
    started_at: datetime
    used: Used
    calls: Sequence[NewCall]
    replay: Mapping[str, Any] | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended. `output` is what the model reads of it, `output_chars` its whole length. `outside`: with it,
    content from outside came into the conversation. `sources` are without their numbers.
    """

    status: str
    output: str = ""
    output_chars: int = 0
    sources: Sequence[Mapping[str, Any]] = ()
    queries: Sequence[str] = ()
    files: Sequence[tuple[str, str, bytes]] = ()  # name, media type, content
    cost: Decimal | None = None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """The calls that may be made now, until `until` (seconds of the monotonic clock): then the run's lease is over, and
    another worker may have it. `stopped`: why none may, because staff stopped all tools or the
    conversation is in the trash.
    """

    calls: list[ToolCall] = field(default_factory=list)
    stopped: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that has ended, and its step: also ended, if this was its last call."""

    call: ToolCall
    step: Step


def read_steps(run_id: uuid.UUID) -> list[Step]:
    """The steps of a run in their order, with their calls, and these with their files, without the contents. Three
    queries.
    """
    calls = ToolCall.objects.select_related("decided_by", "step").order_by("place")
    files = Prefetch("files", ToolFile.objects.defer("content").order_by("pk"))
    return list(
        Step.objects.filter(run=run_id)
        .order_by("number")
        .prefetch_related(Prefetch("calls", calls.prefetch_related(files)))
    )


def record_model_step(run: ClaimedRun, owner: str, done: ModelStep) -> tuple[Step, Step] | None:
    """Stores a finished request to the model, the calls that it asks for and the answer's text so far, and books what
    the request used. Returns the step of the model and that of the calls; None: the run is not this worker's any more.

    Repeated after a lost connection it changes nothing.
    """
    with transaction.atomic():
        row = _lock(run, owner)
        if row is None:
            return None
        if row.step_count > done.after:
            stored = list(Step.objects.filter(run=row, number__gt=done.after).order_by("number")[:2])
            return stored[0], stored[1]
        now, last = row.read_at, done.after  # type: ignore[attr-defined]  # annotated
        common = {"run": row, "attempt": row.attempt}
        model = Step.objects.create(
            **common, number=last + 1, kind=StepKind.MODEL, status=StepStatus.DONE, endpoint=done.used.endpoint,
            text_chars=len(done.text), input_tokens=done.used.input_tokens, output_tokens=done.used.output_tokens,
            cached_tokens=done.used.cached_tokens, reasoning_tokens=done.used.reasoning_tokens, replay=done.replay,
            started_at=done.started_at, ended_at=now,
        )  # fmt: skip
        tools = Step.objects.create(
            **common, number=last + 2, kind=StepKind.TOOL, text_chars=len(done.text), started_at=now
        )
        ToolCall.objects.bulk_create(
            ToolCall(
                id=uuid7(), run=row, model_step=model, step=tools, place=place, upstream_id=call.upstream_id,
                name=call.name, title=call.title, server=call.server, effect=call.effect, arguments=call.arguments,
                created_at=now,
            )
            for place, call in enumerate(done.calls)
        )  # fmt: skip
        used = done.used if row.step_count else replace(done.used, messages=1)  # the message counts with the first
        _keep_text(row, done, last + 2)
        # As late as possible: from here to the commit everybody who shares a quota waits.
        settled = settle_step(row.requested_by_id, row.pk, row.created_at, used, conversation_id=row.conversation_id)
        if settled.cost is not None:
            model.cost = settled.cost
            model.save(update_fields=["cost"])
        return model, tools


def begin_calls(run: ClaimedRun, owner: str, call_ids: Sequence[uuid.UUID]) -> Begun | None:
    """Notes that these calls are made now: it is committed before the first of them is. Those that were under way when
    an earlier attempt ended are among them. None: the run is not this worker's any more, or is to be stopped.
    """
    asked_at = time.monotonic()
    with transaction.atomic():
        row = _lock(run, owner)
        if row is None or row.stop_requested_at is not None:
            return None
        if row.is_in_trash:  # type: ignore[attr-defined]  # annotated
            return Begun(stopped=IN_TRASH)
        if stopped := tools_stopped():
            return Begun(stopped=stopped)
        may_begin = Q(status__in=(CallStatus.ASKED, CallStatus.ALLOWED)) | Q(
            status=CallStatus.RUNNING, attempt__lt=row.attempt
        )
        now: datetime = row.read_at  # type: ignore[attr-defined]  # annotated
        ToolCall.objects.filter(may_begin, run=row, pk__in=call_ids).update(
            status=CallStatus.RUNNING, attempt=row.attempt, tries=F("tries") + 1, started_at=now
        )
        begun = ToolCall.objects.filter(run=row, pk__in=call_ids, status=CallStatus.RUNNING, attempt=row.attempt)
        leased = (row.lease_expires_at - now).total_seconds() if row.lease_expires_at is not None else 0.0
        return Begun(list(begun.order_by("place")), until=asked_at + leased)


def end_call(run: ClaimedRun, owner: str, call_id: uuid.UUID, end: CallEnd) -> EndedCall | None:
    """Stores the one result of a call, which may not have been made at all. None: it is dropped, because the run is not
    this worker's any more, is to be stopped, or the call has a result.
    """
    with transaction.atomic():
        row = _lock(run, owner)
        if row is None or row.stop_requested_at is not None:
            return None
        call = ToolCall.objects.select_for_update(of=("self",)).select_related("step").get(pk=call_id, run=row)
        if call.status in CALL_ENDED:
            same = (call.status, call.output, call.attempt) == (end.status, end.output, row.attempt)
            return EndedCall(call, call.step) if same else None
        call.status, call.attempt = end.status, row.attempt
        call.ended_at = row.read_at  # type: ignore[attr-defined]  # annotated
        call.output, call.output_chars = end.output, end.output_chars
        call.sources = _numbered(row, end.sources)
        call.queries = list(end.queries)
        call.cost = end.cost
        call.why, call.question, call.expires_at = "", None, None
        call.save()
        ToolFile.objects.bulk_create(
            ToolFile(
                conversation_id=row.conversation_id, call=call, name=name, media_type=media_type,
                size=len(content), content=content,
            )
            for name, media_type, content in end.files
        )  # fmt: skip
        if end.outside:
            Conversation.objects.filter(pk=row.conversation_id, outside_content_at=None).update(
                outside_content_at=call.ended_at
            )
        step = call.step
        if not step.calls.exclude(status__in=CALL_ENDED).exists():
            step.status, step.ended_at = StepStatus.DONE, call.ended_at
            step.save(update_fields=["status", "ended_at"])
        if end.cost is not None:
            used = Used(call.name, call.server, reported_cost=end.cost, cost_is_known=True)
            settle_background(
                row.requested_by_id, row.created_at, used, purpose=TOOL, conversation_id=row.conversation_id
            )
        return EndedCall(call, step)


def spent_before(run_id: uuid.UUID) -> tuple[int, Decimal]:
    """The tokens and the cost of all finished steps of a run and of their calls."""
    steps = Step.objects.filter(run=run_id).aggregate(
        input=Sum("input_tokens"), output=Sum("output_tokens"), cost=Sum("cost")
    )
    calls = ToolCall.objects.filter(run=run_id).aggregate(cost=Sum("cost"))["cost"]
    tokens = (steps["input"] or 0) + (steps["output"] or 0)
    return tokens, (steps["cost"] or Decimal(0)) + (calls or Decimal(0))


def attempts_in_vain(run_id: uuid.UUID, attempt: int) -> int:
    """How many attempts of a run, up to this one, came after the last that finished a step or a call."""
    steps = Step.objects.filter(run=run_id).aggregate(last=Max("attempt"))["last"] or 0
    ended = ToolCall.objects.filter(run=run_id, status__in=CALL_ENDED).aggregate(last=Max("attempt"))["last"] or 0
    return attempt - max(steps, ended)


def _lock(run: ClaimedRun, owner: str) -> Run | None:
    """The run, with `is_in_trash`: whether its conversation is, and `read_at`: the time, as the database has it."""
    rows = Run.objects.select_for_update(of=("self",))
    in_trash = ExpressionWrapper(Q(conversation__deleted_at__isnull=False), BooleanField())
    found = rows.filter(pk=run.id, attempt=run.attempt, status=RunStatus.RUNNING, lease_owner=owner)
    return found.annotate(is_in_trash=in_trash, read_at=DATABASE_TIME).first()


def _keep_text(run: Run, done: ModelStep, step_count: int) -> None:
    """From now on every attempt begins with the text so far."""
    Message.objects.filter(pk=run.message_id).update(text=done.text, status=MessageStatus.STREAMING)
    if done.reasoning:
        Reasoning.objects.bulk_create(
            [Reasoning(run=run, text=done.reasoning)],
            update_conflicts=True, unique_fields=["run"], update_fields=["text"],
        )  # fmt: skip
    run.step_count, run.kept_chars, run.kept_reasoning = step_count, len(done.text), len(done.reasoning)
    run.reasoning_chars, run.reasoning_ms = len(done.reasoning), done.reasoning_ms
    run.checkpoint_epoch, run.checkpoint_seq, run.endpoint = done.epoch, done.seq, done.used.endpoint
    run.save(
        update_fields=[
            "step_count", "kept_chars", "kept_reasoning", "reasoning_chars", "reasoning_ms",
            "checkpoint_epoch", "checkpoint_seq", "endpoint",
        ]
    )  # fmt: skip


def _numbered(run: Run, sources: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sources with their numbers in the answer, from 1. One that the answer has already keeps its number."""
    if not sources:
        return []
    known: dict[str, int] = {}
    cited = max((one["n"] for one in run.parameters.get("sources", ())), default=0)  # passages of collections
    for earlier in ToolCall.objects.filter(run=run).exclude(sources=[]).values_list("sources", flat=True):
        known |= {one["url"]: one["n"] for one in earlier}
    numbered = []
    for source in sources:
        number = known.setdefault(source["url"], max([cited, *known.values()]) + 1)
        numbered.append({"n": number, **source})
    return numbered

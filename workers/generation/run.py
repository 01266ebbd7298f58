"""One run, told as a story: claimed → context → stream → emit → finish. On the worker's loop (`workers.runtime`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import events, store
from chat.eventlog.delivery_trace import announce_end
from chat.eventlog.user_events import notify_quotas_low
from chat.markdown import render
from chat.models import RunStatus
from chat.runs.closing import announcements, close_attempt
from chat.runs.ending import Ended, Ending, end_run
from chat.runs.lifecycle import Claim
from chat.telemetry import latency_marks, metrics, tracing
from workers.generation.context import build_turns
from workers.generation.tracing import ModelCall
from workers.providers.base import ChatTurn, Options, ProviderError, Usage
from workers.providers.token_estimate import estimate_usage

if TYPE_CHECKING:
    from workers.generation.emitter import RunLog
    from workers.runtime.loop import Runtime

FLUSH_SECONDS = 5.0  # the log is waited for so long before an answer ends without it
COMMIT_SECONDS = 60.0  # PostgreSQL is waited for so long; then the reaper ends the run
RETRY_SECONDS = 0.5
logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """How the stream ended."""

    status: RunStatus
    code: str = ""
    message: str = ""
    usage: Usage | None = None
    first_token_ms: int | None = None


class Generation:
    """A run this worker holds."""

    def __init__(self, runtime: Runtime, claim: Claim, span: tracing.Span = tracing.NOTHING) -> None:
        self.runtime = runtime
        self.claim = claim
        self.run = claim.run
        self.span = span
        self.requested_at: float | None = None  # monotonic seconds, as the next one
        self.shown_at: float | None = None
        self.shown: int | None = None  # when its first words were in the log, ns since 1970
        self.claimed_at = time.monotonic()
        self.log: RunLog = runtime.emitter.open(self.run.conversation_id, self.run.id, self.run.attempt)
        self.stop_requested = False
        self.lost = False
        self.handing_over = False
        self.abandoned = False
        self.unwatched_since: float | None = None  # monotonic seconds (`Runtime`)
        self.finishing = False  # the stream is over; from here on the commit says whose the run is
        self.log.on_unannounced = lambda: runtime.spawn(self.announce())
        self.log.on_shown = self._note_shown
        self.first_token: float | None = None
        self.turns: Sequence[ChatTurn] = ()  # what the model was given
        self.asked = ""  # the host of the endpoint that was asked last, which is the one that answers
        self._reader: asyncio.Task[Outcome] | None = None

    # --- from outside -------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Somebody asked for it: close the upstream, keep what there is."""
        self.stop_requested = True
        self._cancel()

    def lose(self) -> None:
        """The lease is somebody else's, or over: write nothing more."""
        self.lost = True
        self._cancel()

    def hand_over(self) -> None:
        """This worker shuts down."""
        self.handing_over = True
        self._cancel()

    def abandon(self) -> None:
        """Nobody has had the conversation open for a while."""
        self.abandoned = True
        self._cancel()

    def _cancel(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    # --- the story ----------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """From the claim to the end. Raises nothing: whatever happens becomes the run's outcome."""
        structlog.contextvars.bind_contextvars(**self.run.log_context())
        tracing.current.set(self.span.traceparent)
        with self.span:
            await self._tell()

    async def _tell(self) -> None:
        if self.run.attempt > 1:
            await self._close_previous()
        self.log.event(events.run_started(self.run))
        self._reader = asyncio.create_task(self._stream())
        if self.stop_requested or self.lost or self.handing_over:
            self._reader.cancel()
        await asyncio.wait({self._reader})
        try:
            self.finishing = True
            outcome = self._outcome(self._reader)
            if not self.lost:
                await self._finish(outcome)
        except Exception:
            logger.exception("run_unfinished", run=str(self.run.id), note="the reaper ends it when the lease is over")

    async def _stream(self) -> Outcome:
        with tracing.span("context"):
            turns = self.turns = build_turns(
                self.claim.system_prompt, self.claim.path, budget_tokens=settings.MODEL_CONTEXT_TOKENS
            )
        self.call = ModelCall(self.run)
        with self.call.span:
            return await self._read(turns)

    async def _read(self, turns: Sequence[ChatTurn]) -> Outcome:
        wishes = Options(self.claim.temperature, self.claim.max_tokens)
        usage: Usage | None = None
        try:
            async with self.runtime.model.stream(
                self.run.model, turns, options=wishes, on_request=self._note_request
            ) as batches:
                async for chunks in batches:
                    text = "".join([chunk.text for chunk in chunks])
                    if text:
                        if self.first_token is None:
                            self.first_token = time.monotonic()
                            self.call.answers()
                        self.log.feed(text.replace("\x00", ""))
                    for chunk in chunks:
                        usage = chunk.usage or usage
                    if self.log.fenced:
                        self.lost = True
                        break
        except ProviderError as error:
            metrics.upstream[error.code] += 1
            self.call.span.fail(error.code)
            logger.warning(
                "upstream_failed", run=str(self.run.id), code=error.code, detail=error.detail, model=self.run.model
            )
            return Outcome(RunStatus.FAILED, error.code, error.message, usage, self._ms(self.first_token))
        self.call.used(usage)
        return Outcome(RunStatus.DONE, usage=usage, first_token_ms=self._ms(self.first_token))

    def _note_request(self, endpoint: str, model: str) -> None:
        self.asked = endpoint
        self.requested_at = self.requested_at or time.monotonic()
        self.call.asked(endpoint, model)

    def _note_shown(self) -> None:
        self.shown_at = time.monotonic()
        self.shown = time.time_ns()
        self.span.event("first_words_in_log")

    def _outcome(self, reader: asyncio.Task[Outcome]) -> Outcome:
        if reader.cancelled():
            first = self._ms(self.first_token)
            if self.stop_requested:
                return Outcome(RunStatus.STOPPED, first_token_ms=first)
            if self.abandoned:
                said = "Nobody had this conversation open any more, so the answer was stopped."
                return Outcome(RunStatus.STOPPED, "unwatched", said, first_token_ms=first)
            return Outcome(
                RunStatus.INTERRUPTED,
                "worker_stopped",
                "The answer was interrupted by a restart. You can continue or retry.",
                first_token_ms=first,
            )
        error = reader.exception()
        if error is not None:
            logger.error("run_crashed", run=str(self.run.id), exc_info=error)
            return Outcome(RunStatus.FAILED, "internal", "Something went wrong while the answer was made.")
        return reader.result()

    def _ms(self, moment: float | None) -> int | None:
        """Milliseconds from the run's creation to `moment` of the monotonic clock."""
        if moment is None:
            return None
        return int((moment - self.claimed_at) * 1000) + (self.run.queued_ms or 0)

    async def _finish(self, outcome: Outcome) -> None:
        """Text into the log, then the end into PostgreSQL, then the closing event: a reader in between sees no gap."""
        behind = False
        try:
            with tracing.span("flush"):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.log.flush()
        except TimeoutError:
            behind = True
            logger.warning("log_behind", run=str(self.run.id), note="the answer is kept; readers take a snapshot of it")
        if self.log.fenced:
            return
        text = self.log.text
        if self.handing_over and outcome.status is RunStatus.INTERRUPTED and not text:
            await self.runtime.give_back(self.run)
            return
        if behind:
            self.log.abandon()
        with tracing.span("commit", attributes={"db.system.name": "postgresql"}):
            ended = await self._commit(outcome, text)
        if ended is None:
            logger.warning("run_lost", run=str(self.run.id), attempt=self.run.attempt)
            return
        if behind:
            ended = replace(ended, whole=False)
        self.span.set({"antiphon.run.status": outcome.status.value})
        if outcome.status is RunStatus.FAILED:
            self.span.fail(outcome.code)
        event = await latency_marks.attach(
            self.run.id,
            ended.event,
            requested=self.requested_at,
            first_chunk=self.first_token,
            appended=self.shown_at,
        )
        ended = replace(ended, event=event)
        self.runtime.emitter.close_run(ended, self._in_log if self.span.recording else None)
        self._count(outcome, ended)
        if ended.user_id is not None and ended.near:
            self.runtime.spawn(notify_quotas_low(ended.user_id, ended.near))
        logger.info(
            "run_ended",
            run=str(self.run.id),
            status=outcome.status.value,
            code=outcome.code,
            characters=len(text),
            first_token_ms=outcome.first_token_ms,
            total_ms=self._ms(time.monotonic()),
        )

    def _count(self, outcome: Outcome, ended: Ended) -> None:
        used = ended.used
        metrics.count_run(
            outcome.status.value,
            model=self.run.model,
            cost=ended.cost,
            queued_ms=self.run.queued_ms,
            first_token_ms=outcome.first_token_ms,
            total_ms=self._ms(time.monotonic()),
            input_tokens=used.input_tokens if used else 0,
            output_tokens=used.output_tokens if used else 0,
        )

    def _in_log(self, end: store.Appended) -> None:
        """The closing event is there: whoever has the conversation open tells when it came."""
        told = announce_end(self.run.conversation_id, end, traceparent=self.span.traceparent, shown=self.shown)
        self.runtime.spawn(told)

    async def _commit(self, outcome: Outcome, text: str) -> Ended | None:
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                return await in_db(self._end, outcome, text)
            except OUTAGE:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    def _end(self, outcome: Outcome, text: str) -> Ended | None:
        usage = outcome.usage
        if usage is None:
            usage = outcome.usage = (
                estimate_usage(self.turns, text) if self.asked else Usage(0, 0, estimated=True)  # nobody was asked
            )
        ending = Ending(
            text=text,
            html=render(text) if text else "",
            error_code=outcome.code,
            error_message=outcome.message,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            endpoint=self.asked,
            usage_estimated=usage.estimated,
            first_token_ms=outcome.first_token_ms,
            total_ms=self._ms(time.monotonic()),
        )
        return end_run(self.run.id, self.run.attempt, outcome.status, ending, owner=self.runtime.owner)

    async def announce(self) -> None:
        """The web process died between the commit and the log: say what it should have said. Idempotent.

        Until it is said the answer waits, so an outage is waited out.
        """
        while not self.lost:
            try:
                said = (await in_db(announcements, [self.run.id]))[self.run.id]
                await store.append(store.Append(self.run.conversation_id, said, self.run.id, attempt=0, number=1))
            except OUTAGE as error:
                logger.warning("announcement_waits", run=str(self.run.id), error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        self.log.announced()

    async def _close_previous(self) -> None:
        """Whoever ended the attempt before may not have reached the log, and after `run.started` it is fenced."""
        before = replace(self.run, attempt=self.run.attempt - 1)
        said = [events.run_superseded(before, 0), events.run_queued(self.run, attempt=self.run.attempt)]
        try:
            await close_attempt(before.conversation_id, before.id, before.attempt, said)
        except OUTAGE as error:
            logger.warning("previous_attempt_not_closed", run=str(self.run.id), error=type(error).__name__)

"""One run in its worker: reads the context, streams the answer into the log, commits and closes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import events, store
from chat.eventlog.delivery_trace import announce_end
from chat.eventlog.user_events import notify_cost, notify_quotas_low, notify_sharers
from chat.markdown.pool import shared_pool
from chat.models import RunStatus
from chat.moderation.rules import RuleSet
from chat.runs.barge_in import cut_answer
from chat.runs.claims import Claim
from chat.runs.ending import Ended
from chat.runs.lost import Lost
from chat.runs.plain_ending import end_plain_run
from chat.telemetry import latency_marks, tracing
from chat.turns.going_on import go_on
from workers.generation.announcement import announce, close_previous_attempt
from workers.generation.answer_case import AnswerCase
from workers.generation.ending import make_ending, moderated, read_heard_chars
from workers.generation.figures import count_ended
from workers.generation.json_screening import screen_of
from workers.generation.judge_asked import judge_asked
from workers.generation.late_thinking import move_thinking
from workers.generation.outcome import Outcome, RunClock
from workers.generation.output_judge import OutputJudge
from workers.generation.screening import Screened
from workers.generation.services import Services
from workers.generation.steps.judging import JudgedCalls
from workers.generation.steps.loop import StepLoop
from workers.generation.title_and_summary import spawn_writers
from workers.generation.unread import UnreadTexts
from workers.generation.withheld import end_withheld, publish_withheld

FLUSH_SECONDS: Final = 5.0  # how long the end of an answer waits for the log; then it ends without it
COMMIT_SECONDS: Final = 60.0  # how long it waits for PostgreSQL; then the reaper ends the run
RETRY_SECONDS: Final = 0.5

logger = structlog.get_logger(__name__)


class Generation:
    """A run that this worker holds. `on_done` is called once, when `run` is over. `rules` are those of moderation for
    this answer.
    """

    def __init__(
        self,
        services: Services,
        claim: Claim,
        on_done: Callable[[], None],
        span: tracing.Span = tracing.NO_SPAN,
        rules: RuleSet | None = None,
    ) -> None:
        self.services = services
        self.claim = claim
        self.claimed = claim.run
        self.span = span
        self.shown_at: float | None = None  # when its first text was in the log, monotonic seconds
        self.shown: int | None = None  # the same in ns since 1970
        self.clock = RunClock(claim.run)
        run = claim.run
        thought = claim.begun.reasoning if claim.begun else ""
        self.screen = screen_of(claim, rules, thought) if rules else None
        self.case = AnswerCase(run, self.screen) if self.screen else None
        self.log = services.emitter.open(
            run.conversation_id, run.id, run.attempt, claim.shown_text, self.screen, thought
        )
        self.output = OutputJudge(services, run, claim.text_before)
        calls = JudgedCalls(services, run, self.case, self.output)
        self.answer = StepLoop(services, claim, self.log, self.clock, calls)
        self.unread = UnreadTexts(services, claim, self.output)
        self.output.on_hit = self._cancel
        if self.output.active:
            self.log.judge_by(self.output.feed)
            self.output.feed(claim.shown_text[len(claim.text_before) :])  # the judge of its attempt was lost with it
        self.stop_requested = self.lost = self.handing_over = self.abandoned = False
        self.unwatched_since: float | None = None  # monotonic seconds (`workers.runtime.unwatched`)
        self.finishing = False  # the stream is over; from here on the commit decides whose run it is
        self.log.on_unannounced = lambda: services.spawn(self._announce())
        self.log.on_shown = self._note_shown
        if self.screen is not None:
            self.screen.on_stopped = self._cancel
        self._on_done = on_done
        self._reader: asyncio.Task[Outcome] | None = None

    # --- from outside -------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """A user asked for it: closes the connection to the model and keeps the text so far."""
        self.stop_requested = True
        self._cancel()

    def lose(self) -> None:
        """The lease has expired or belongs to another worker: nothing more is written."""
        self.lost = True
        self._cancel()

    def hand_over(self) -> None:
        """This worker is shutting down."""
        self.handing_over = True
        self._cancel()

    def abandon(self) -> None:
        """Nobody has had the conversation open for a while."""
        self.abandoned = True
        self._cancel()

    def _cancel(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    # --- from the claim to the end ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs from the claim to the end. Raises nothing: whatever happens becomes the run's outcome."""
        structlog.contextvars.bind_contextvars(**self.claimed.log_context())
        tracing.current.set(tracing.traceparent_of(self.span))
        try:
            with tracing.use_span(self.span):
                await self._run()
        finally:
            self.services.emitter.done()
            self._on_done()

    async def _run(self) -> None:
        if self.claimed.attempt > 1:
            await close_previous_attempt(self.claimed)
        self.log.event(events.run_started(self.claimed))
        self._reader = asyncio.create_task(judge_asked(self.services, self.claim, self.answer, self.unread))
        if self.stop_requested or self.lost or self.handing_over:
            self._reader.cancel()
        await asyncio.wait({self._reader})
        try:
            self.finishing = True
            outcome = self._outcome(self._reader)
            self.lost = self.lost or self.log.fenced
            if not self.lost:
                await self._finish(outcome)
        except Exception:
            note = "the reaper ends it when its lease has expired"
            logger.exception("run_not_finished", run=str(self.claimed.id), note=note)

    def _note_shown(self) -> None:
        self.shown_at, self.shown = time.monotonic(), time.time_ns()
        self.span.add_event("first_words_in_log")

    def _outcome(self, reader: asyncio.Task[Outcome]) -> Outcome:
        if (withheld := self.output.outcome(self.log.text, self.answer.first_token_ms)) is not None:
            return withheld
        if reader.cancelled():
            if self.stop_requested or self.abandoned:
                self.answer.write_rest()
            first = self.answer.first_token_ms
            if self.stop_requested:
                return Outcome(RunStatus.STOPPED, first_token_ms=first)
            if self.abandoned:
                message = "The answer was stopped because nobody had this conversation open."
                return Outcome(RunStatus.STOPPED, "unwatched", message, first_token_ms=first)
            message = "The answer was interrupted by a restart. You can continue or retry."
            return Outcome(RunStatus.INTERRUPTED, "worker_stopped", message, first_token_ms=first)
        error = reader.exception()
        if error is not None:
            logger.error("run_crashed", run=str(self.claimed.id), exc_info=error)
            return Outcome(RunStatus.FAILED, "internal", "Something went wrong while the answer was being written.")
        return reader.result()

    async def _finish(self, outcome: Outcome) -> None:
        """Text into the log, then the end into PostgreSQL, then the closing event: a reader in between sees no gap."""
        run = self.claimed
        if outcome.status is RunStatus.WAITING:
            return  # for a person: until then it belongs to no worker
        screened = self._screened()
        outcome = moderated(outcome, screened)
        if outcome.withheld is not None:
            self.log.abandon()  # what is withheld does not go into the log any more
            screened = replace(screened, text=outcome.withheld.kept or "", reasoning="")
        may_go_on = self.answer.has_steps or not self.log.own_text
        gives_back = self.handing_over and outcome.status is RunStatus.INTERRUPTED and may_go_on
        rendering = None if gives_back else asyncio.create_task(self._render(screened.text))  # beside the last append
        behind = not await self._flush()
        if self.log.fenced:
            if rendering is not None:
                rendering.cancel()
            return
        if rendering is None:
            await self.services.give_back(run, Lost(self.log.text, self.log.reasoning))
            return
        behind = behind or screened.text != self.log.text or screened.reasoning != self.log.reasoning
        if behind:
            self.log.abandon()
        rendered = await rendering
        with tracing.span("commit", attributes={"db.system.name": "postgresql"}):
            ended = await self._commit(outcome, screened, rendered)
        if ended is None:
            logger.warning("run_lost", run=str(run.id), attempt=run.attempt)
            return
        if outcome.withheld is not None or outcome.rewritten:
            await publish_withheld(run, answered=outcome.withheld is None or outcome.withheld.kept is not None)
        if behind:
            ended = replace(ended, whole=False)
        self.span.set_attribute("antiphon.run.status", outcome.status.value)
        if outcome.status is RunStatus.FAILED:
            tracing.mark_failed(self.span, outcome.code)
        event = await latency_marks.attach(
            run.id, ended.event, requested=self.answer.requested_at, first_chunk=self.answer.first_token,
            appended=self.shown_at,
        )  # fmt: skip
        closed = partial(self._note_closed, ended, is_traced=self.span.is_recording())  # it ends before that
        self.services.emitter.close_run(replace(ended, event=event), closed)
        count_ended(run, outcome, ended, self.answer, self.clock, characters=len(screened.text))
        if self.output.active:
            self.services.spawn(self.output.finish(screened.text, withheld=outcome.withheld is not None))
        if outcome.status is RunStatus.DONE:
            spawn_writers(self.services, run, self.answer.context, ended.used)
        if ended.user_id is not None and ended.near:
            self.services.spawn(notify_quotas_low(ended.user_id, ended.near))
            self.services.spawn(notify_sharers(ended.user_id, ended.near))
        if ended.user_id is not None and ended.untold is not None:
            self.services.spawn(notify_cost(ended.user_id, run.conversation_id, run.message_id, ended.untold))

    async def _flush(self) -> bool:
        """Waits up to `FLUSH_SECONDS` until the text is in the log. Returns whether it is."""
        try:
            with tracing.span("flush"):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.log.flush()
        except TimeoutError:
            note = "the answer is kept; readers take a snapshot of it"
            logger.warning("event_log_append_timed_out", run=str(self.claimed.id), note=note)
            return False
        return True

    def _note_closed(self, ended: Ended, end: store.Appended, *, is_traced: bool) -> None:
        """The closing event is in the log: the next waiting message goes, and browsers report when they received it."""
        if ended.may_go_on:
            self.services.spawn(go_on(self.claimed.conversation_id))
        if is_traced:
            parent = tracing.traceparent_of(self.span)
            self.services.spawn(announce_end(self.claimed.conversation_id, end, traceparent=parent, shown=self.shown))

    async def _render(self, text: str) -> dict[str, str]:
        """The HTML of what is kept of the answer, by its text; empty if it takes too long. The lease is renewed
        meanwhile, and the process's other answers go on.
        """
        kept = text
        if self.stop_requested:
            with contextlib.suppress(*OUTAGE):  # the commit waits for PostgreSQL
                cut = cut_answer(text, await in_db(read_heard_chars, self.claimed.id))
                kept = cut.text if cut else text
        with tracing.span("render"):
            html = await shared_pool().render_soon(kept) if kept else ""
        return {kept: html} if html else {}

    async def _commit(self, outcome: Outcome, screened: Screened, rendered: Mapping[str, str]) -> Ended | None:
        """Writes the end to PostgreSQL; retries during an outage. None: the run was not this worker's any more."""
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                return await in_db(self._end, outcome, screened, rendered)
            except OUTAGE:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    def _end(self, outcome: Outcome, screened: Screened, rendered: Mapping[str, str]) -> Ended | None:
        produced = screened.original[self.log.base_length :]
        ending = make_ending(outcome, screened, self.answer, self.clock, produced=produced, rendered=rendered)
        moderate = self.case.record if self.case and self.case.concerns else None
        plain = moderate is None and outcome.withheld is None and not (self.answer.has_steps or self.unread.concerns)
        if plain and (ended := end_plain_run(self.claimed, outcome.status, ending, owner=self.services.owner)):
            return ended
        note = partial(self.unread.note, outcome, screened.text)
        return end_withheld(self.claimed, outcome, ending, self.services.owner, moderate=moderate, note_unread=note)

    def _screened(self) -> Screened:
        """The texts of this attempt as they may be stored."""
        self.log.complete()
        if self.screen is not None:
            self.screen.complete()
        found = self.screen.result() if self.screen else Screened(self.log.text, self.log.reasoning, self.log.text)
        return move_thinking(found, self.claim, self.answer, judged=self.output.active)

    async def _announce(self) -> None:
        """The log lacks the run's first events. Its deltas wait until these are there."""
        await announce(self.claimed, lambda: self.lost)
        self.log.announced()

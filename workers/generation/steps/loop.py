"""The loop of an answer with tools: the model, the calls it asks for, their results, and the model again.

A run whose model asks for no call is one request, as without tools, and leaves no steps behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from accounts.quotas.prices import price_of
from chat.eventlog import events
from chat.eventlog.payloads import MODERATED, NO_ANSWER, no_answer_note
from chat.models import CALL_ENDED, Finish, RunStatus, Step
from chat.runs.claims import Claim
from chat.runs.step_ending import events_of_steps
from chat.runs.step_rows import ModelStep, read_steps
from workers.generation.answer import ModelAnswer
from workers.generation.exact_turns import functions_of
from workers.generation.ledger import used_of
from workers.generation.outcome import Outcome, RunClock
from workers.generation.request_context import fit_window
from workers.generation.run_log import RunLog
from workers.generation.screening import stopped_sentence
from workers.generation.services import Services
from workers.generation.steps.answer_figures import AnswerFigures
from workers.generation.steps.calls import Calls
from workers.generation.steps.checks import Repetitions
from workers.generation.steps.made_images import CALL, made_images, screen_images
from workers.generation.steps.returned import check_returned, return_calls
from workers.generation.steps.rounds import read_rounds
from workers.generation.steps.run_files import RunFiles
from workers.generation.steps.screened_rows import check_none_withheld, record_model_step
from workers.generation.steps.screening import CallScreen, CallWithheld
from workers.generation.steps.sorting import sort_calls
from workers.generation.steps.stored import Gone, stored, through_outages
from workers.generation.tool_use.approval import Waiting
from workers.generation.tool_use.limits import Spent, spent_by
from workers.generation.tool_use.requests import StepRequest, known_tools
from workers.generation.tool_use.toolbox import NO_TOOLBOX, Toolbox
from workers.providers.base import RequestedCall, TokenUsage, ToolImage
from workers.tools.registry import Wanted

logger = structlog.get_logger(__name__)

STOPPED: Final = Outcome(RunStatus.STOPPED)
IMAGES_NOT_READ: Final = gettext_noop("This model does not read images, or an image could not be read.")
NOTHING_SAID: Final = ("upstream_empty", "upstream_tool_call")  # the latter of a model that was to call no more
UNASKED_SHARE: Final = 1 / 10  # of a model's window, at most, for tools that nobody has chosen
WISHED_SHARE: Final = 1 / 2  # for those that somebody has chosen


class StepLoop(AnswerFigures):
    """One answer, in as many steps as it takes. What it knows of its requests is of all of them, or of the last one."""

    def __init__(
        self, services: Services, claim: Claim, log: RunLog, clock: RunClock, calls: CallScreen | None = None
    ) -> None:
        self._services = services
        self._claim = claim
        self._run = claim.run
        self._log = log
        self._clock = clock
        self._calls = calls or CallScreen(None, claim.run.user_id, claim.run.model)
        self._box: Toolbox = NO_TOOLBOX
        self._files = RunFiles() if claim.files or claim.has_collections else None
        self._steps: list[Step] = []
        self._spent = Spent(claim.tools)
        self._repetitions = Repetitions()
        self._started_at = timezone.now()
        self._before: list[ModelAnswer] = []
        self._gate: asyncio.Event | None = None
        self._booked: ModelAnswer | None = None
        self._estimated = True  # its usage is
        self._last: ModelAnswer = self._answer(functions_of(claim))

    # --- what is known of the answer ----------------------------------------------------------------------------

    @property
    def gate(self) -> asyncio.Event | None:
        """Nothing of the answer is read before it is set."""
        return self._gate

    @gate.setter
    def gate(self, gate: asyncio.Event | None) -> None:
        self._gate = self._last.gate = gate

    @property
    def has_steps(self) -> bool:
        return bool(self._steps) or self._run.step_count > 0

    def write_rest(self) -> None:
        self._last.write_rest()

    def billed_usage(self, reported: TokenUsage | None, text: str) -> TokenUsage:
        """What the last request is billed with; `text` is what the attempt wrote, and all of it if it has no steps."""
        if self._last is self._booked:  # with its step
            return TokenUsage(0, 0, estimated=self._estimated or not self._claim.functions)
        return self._last.billed_usage(reported, self._last.written if self.has_steps else text)

    # --- the loop -----------------------------------------------------------------------------------------------

    async def read(self) -> Outcome:
        """Streams the answer into the log until it ends, waits for a person, or reaches a limit."""
        try:
            outcome = await self._read()
        except Gone:
            outcome = STOPPED
        except CallWithheld as withheld:
            said = stopped_sentence(withheld.notice)
            outcome = replace(STOPPED, code=MODERATED, message=said, rewritten=withheld.was_shown)
        return replace(outcome, first_token_ms=self.first_token_ms) if self.has_steps else outcome

    async def _read(self) -> Outcome:
        if self._files is not None:
            waiting = self._log.event
            await self._files.load(self._claim, self._services, lambda: waiting(events.run_waiting(self._run, "files")))
            request = self._claim.exact
            if request is not None and self._files.unseen(
                request.placed
            ):  # a request of the API is sent whole, or not at all
                return Outcome(RunStatus.FAILED, "images_not_read", IMAGES_NOT_READ)
        await self._find_tools()
        if self._run.step_count and (waits := await self._resume()) is not None:
            return waits
        if made_images(self._steps):  # the worker was lost before it could end the answer
            return self._ended(Outcome(RunStatus.DONE))
        while True:
            outcome = await self._ask()
            goes_on = bool(self._last.calls) and not self._last.request.call_no_more
            images = () if self._claim.exact else self._last.images  # answers of the API have no place for them
            if outcome.status is not RunStatus.DONE or not (goes_on or images):
                return self._ended(outcome)
            if self._claim.functions and (refused := check_returned(self._last)) is not None:
                return refused
            await self._record(outcome, self._last.calls if goes_on else (), images)
            if made_images(self._steps):
                return self._ended(outcome)
            if (waits := await self._make_calls()) is not None:
                return waits

    async def _find_tools(self) -> None:
        """Looks up the tools, if whoever asked may use any. A request of the API has its own functions, or none."""
        run, limits = self._run, self._claim.tools
        if not limits.permits_tools or run.user_id is None or self._claim.exact is not None:
            return
        question = next((text for role, text in reversed(self._claim.path) if role == "user"), "")
        chosen = self._claim.asked.get("tools", limits.chosen)  # of this answer alone, before the conversation's
        wanted = Wanted(
            run.user_id, run.conversation_id, chosen, limits.web_search, question, run.step_count > 0, run.model,
            self._claim.tools_version,
        )  # fmt: skip
        if run.step_count:  # calls may be left that somebody has allowed: they are not refused for an outage
            self._box = await through_outages(lambda: self._services.find_tools(wanted))
            return
        try:
            self._box = await self._services.find_tools(wanted)
        except OUTAGE as error:
            logger.warning("tools_not_found", run=str(run.id), error=type(error).__name__)
        share = WISHED_SHARE if limits.web_search or chosen is not None else UNASKED_SHARE
        if not fit_window(self._services.models.window_of(run.model), self._box.specs, share):
            logger.info("tools_left_out", run=str(run.id), model=run.model, tools=len(self._box.specs))
            self._box = NO_TOOLBOX

    async def _resume(self) -> Outcome | None:
        """Goes on after the steps of earlier attempts: shows them again, and makes the calls that are left."""
        self._steps = await stored(read_steps, self._run.id)
        await self._calls.entered(self._steps)
        self._spent = spent_by(self._claim.tools, self._steps)
        for step in self._steps:
            for call in step.calls.all():
                self._repetitions.note(call)
        for event in events_of_steps(self._run, self._steps):
            self._log.event(event)
        check_none_withheld(self._steps)  # the worker may have been lost before it could end the answer
        return await self._make_calls()

    async def _ask(self) -> Outcome:
        """One request to the model."""
        if self._steps or self._box.tools:
            if self._last.requested_at is not None:
                self._before.append(self._last)
            self._last = self._answer(await self._request())
        self._started_at = timezone.now()
        outcome = await self._last.read()
        if outcome.code == "upstream_no_tools" and not self._steps and not self._claim.functions:
            self._box = NO_TOOLBOX
            self._last = self._answer(StepRequest())
            outcome = await self._last.read()
        return outcome

    async def _request(self) -> StepRequest:
        tools = self._box.specs or known_tools(self._steps)
        request = StepRequest(tools, self._box.instructions)
        if not self._steps:
            return request
        run, listed = self._run, self._services.models.sees(self._run.model)
        rounds = await read_rounds(self._steps, self._log.text, self._box.tools, run.base_chars, run.model, listed)
        may_call = bool(self._box.tools) and self._spent.may_call(len(rounds)) and not self._repetitions.too_many
        prices = await in_db(price_of, self._run.model) if self._claim.tools.cost is not None else None
        self._log.step = self._steps[-1].number + 1
        return replace(
            request, rounds=rounds, call_no_more=not may_call, number=self._log.step, room=self._spent.room(prices)
        )

    def _answer(self, request: StepRequest) -> ModelAnswer:
        services = self._services
        answer = ModelAnswer(self._claim, self._log, services.model, self._clock, services.models, request, self._files)
        answer.gate = self._gate
        return answer

    def _ended(self, outcome: Outcome) -> Outcome:
        """How the run ends with its last request."""
        if not self._steps or (outcome.status is not RunStatus.DONE and outcome.code not in NOTHING_SAID):
            return outcome
        finish = Finish.TOOL_LIMIT.value if self._last.request.call_no_more else outcome.finish
        # A model may have nothing to add to what it said before its calls.
        done = replace(outcome, status=RunStatus.DONE, code="", message="", finish=finish or Finish.STOP.value)
        # What a rule for answers has yet to read is not in the log.
        said = self._log.text[self._run.base_chars :].strip() or self._last.written.strip()
        if not said and not made_images(self._steps):
            done.code, done.message = NO_ANSWER, no_answer_note(done.finish)
        return done

    async def _record(self, outcome: Outcome, calls: Sequence[RequestedCall], images: Sequence[ToolImage]) -> None:
        """Stores the request that has ended, the calls it asks for and the images that the model made; from here on no
        attempt goes back behind it.
        """
        last, log = self._last, self._log
        log.pause()
        await log.flush()
        usage = last.billed_usage(outcome.usage, last.written)
        asked = await self._calls.request(calls, last.replay, self._box.tools)
        made = await screen_images(self._calls, images) if images else None
        recorded = [*asked.calls, CALL] if made else asked.calls
        done = ModelStep(
            log.text, log.reasoning, self.reasoning_ms, log.epoch, log.seq, self._started_at,
            used_of(self._run.model, last.endpoint, usage), [one.call for one in recorded], asked.replay,
            after=self._steps[-1].number if self._steps else 0,
        )  # fmt: skip
        owner, moderate = self._services.owner, self._calls.moderate
        model, _ = await stored(record_model_step, self._run, owner, done, recorded, moderate, made)
        log.forget_saved()
        self._booked, self._estimated = last, usage.estimated
        logger.info(
            "step_recorded", run=str(self._run.id), step=model.number, calls=len(recorded), left_out=asked.left_out
        )
        self._steps = await stored(read_steps, self._run.id)
        self._spent.tokens += usage.input_tokens + usage.output_tokens
        self._spent.cost += model.cost or 0
        for event in events_of_steps(self._run, [one for one in self._steps if one.number >= model.number]):
            log.event(event)
        asked.check()
        if made is not None and made.withholds is not None:
            raise CallWithheld(made.withholds.finding.notice)

    async def _make_calls(self) -> Outcome | None:
        """Makes the calls that have no result yet. How this attempt ends if they wait for a person, or are those of the
        program that asked, which makes them itself; else None.
        """
        tools, at_once = self._box.tools, max(self._claim.tools.at_once, 1)
        making = Calls(self._run, self._services.owner, self._log, tools, at_once, self._calls)
        opened = [call for step in self._steps for call in step.calls.all() if call.status not in CALL_ENDED]
        if self._claim.functions:
            return await return_calls(making, opened, self.first_token_ms)
        if opened:
            judge = self._services.approvals.judge
            ready, waits = await sort_calls(opened, making, self._repetitions, judge)
            if not waits:
                await making.make(ready, max(self._spent.seconds_left, 0.0))
                waits = [
                    Waiting(one.call.pk, one.sentence[:200], {"sentence": one.sentence, "schema": dict(one.schema)})
                    for one in making.asked
                ]
            if waits:
                return await self._wait(waits)
            self._steps = await stored(read_steps, self._run.id)
            made = {call.pk for call in opened}
            self._spent.cost += sum(
                call.cost for step in self._steps for call in step.calls.all() if call.pk in made and call.cost
            )
        return None

    async def _wait(self, waits: Sequence[Waiting]) -> Outcome:
        """The run waits for a person, without a worker; the next attempt goes on after the steps so far."""
        await self._log.flush()
        approvals, owner = self._services.approvals, self._services.owner
        if not await through_outages(lambda: approvals.wait(self._run, owner, waits)):
            raise Gone
        return Outcome(RunStatus.WAITING)

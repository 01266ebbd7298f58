"""The answer of the model, from the context it is given to the text in the run's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import structlog

from chat.eventlog import events
from chat.eventlog.payloads import NO_ANSWER, no_answer_note
from chat.files.sources import StoredSource
from chat.files.uses import UsedFile
from chat.models import Finish, RunStatus
from chat.protocol.marks import MarkBound
from chat.runs.claims import Claim
from chat.runs.token_probabilities import TokenProbabilities
from chat.telemetry import metrics, tracing
from workers.generation.exact_turns import form_of
from workers.generation.joint import Joint
from workers.generation.limits import AnswerLimits
from workers.generation.outcome import Outcome, RunClock, finish_of
from workers.generation.parameters import describe_parameters
from workers.generation.permission import may_answer
from workers.generation.request_context import KnownModels, NothingKnown, PlacedFiles, RequestContext
from workers.generation.run_log import RunLog
from workers.generation.thinking import Thinking
from workers.generation.tool_use.requests import ONLY, StepRequest
from workers.generation.tracing import ModelCall
from workers.providers.base import (
    Awaited,
    ChatModel,
    Continuation,
    Effort,
    Options,
    ProviderError,
    Replay,
    RequestedCall,
    SentOptions,
    TokenUsage,
    ToolImage,
)

AGAIN_SECONDS: Final = 10.0

logger = structlog.get_logger(__name__)


class ModelAnswer:
    """Reads one answer of the model into a run's log.

    `endpoint` is the host of the endpoint that was asked last, which is the one that answers; empty before the first
    request. `first_token` is when the first text of the answer came, in seconds of the monotonic clock; what the model
    thought before it is not that text. `request` is what a run with tools asks in this step; `calls` are those that the
    model wants to be made.
    """

    def __init__(
        self,
        claim: Claim,
        log: RunLog,
        model: ChatModel,
        clock: RunClock,
        models: KnownModels | None = None,
        request: StepRequest = ONLY,
        files: PlacedFiles | None = None,
    ) -> None:
        self.context: RequestContext | None = None  # once it is made
        self.endpoint = ""
        self.upstream_model = ""  # who answered, in the endpoint's words
        self.first_token: float | None = None
        self.requested_at: float | None = None  # of the first request, monotonic seconds
        self.gate: asyncio.Event | None = None  # nothing of the answer is read before it is set
        self._claim = claim
        self._run = claim.run
        self._log = log
        self._model = model
        self._models = models or NothingKnown()
        self._clock = clock
        self.request = request
        self._files = files
        self.calls: tuple[RequestedCall, ...] = ()
        self.replay: Replay | None = None
        self.images: tuple[ToolImage, ...] = ()  # that the model made
        self._limits = AnswerLimits(claim, len(log.text) if request.rounds else None, request.room)
        self.thinking = Thinking(log, again=bool(request.rounds))
        self._sent = SentOptions()
        self._awaited: Awaited = "model"
        self._said_at = 0.0  # monotonic seconds
        continues = bool(claim.text_before) and not request.rounds
        self._continuation = Continuation() if continues else None
        self._joint = Joint(claim.text_before) if continues else None
        # Between the texts of two steps.
        self._blank_line = "\n\n" if request.rounds and log.text.strip() else ""
        self._written: list[str] = []  # what the model wrote, of a request with tools

    @property
    def first_token_ms(self) -> int | None:
        return self._clock.ms(self.first_token)

    @property
    def first_reasoning_ms(self) -> int | None:
        return self._clock.ms(self.thinking.first)

    @property
    def reasoning_ms(self) -> int:
        """How long the model has thought so far."""
        return self.thinking.elapsed_ms()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as the run's row keeps them."""
        return describe_parameters(self._claim, self._sent)

    @property
    def files(self) -> Sequence[UsedFile]:
        """What the model got of the branch's files; nothing before a request was sent."""
        return self._files.uses(self._sent) if self._files is not None and self.requested_at is not None else ()

    @property
    def sources(self) -> Sequence[StoredSource]:
        """The passages of collections that the model got."""
        return self._files.sources if self._files is not None and self.requested_at is not None else ()

    @property
    def written(self) -> str:
        """What the model wrote in this request, without its calls. Only kept if it was offered tools."""
        return "".join(self._written)

    async def read(self) -> Outcome:
        """Streams the answer into the log until it ends or the log is fenced. A provider's error is an outcome."""
        with tracing.span("context"):
            self.context = RequestContext(self._claim, self._models, self.request, self._files)
        if sentence := self.context.too_long():
            return Outcome(RunStatus.FAILED, "context_too_long", sentence)
        self._limits.factor = self.context.output_factor
        self.call = ModelCall(self._run)
        with tracing.use_span(self.call.span):
            try:
                return await self._stream(self.context)
            finally:
                self.thinking.pause()

    async def _stream(self, context: RequestContext) -> Outcome:
        refused = await self._limits.open(context.used, again=bool(self.request.rounds))
        if refused is not None:
            return refused
        effort = cast("Effort | None", self._claim.effort or None)
        options = Options(
            self._claim.temperature,
            self._limits.max_tokens(self._claim.max_tokens),
            effort,
            permits=self._permits,
            continuation=self._continuation,
            sent=self._sent,
            on_waiting=self._note_waiting,
            tools=self.request.tools,
            call_no_more=self.request.call_no_more,
            top_p=self._claim.asked.get("top_p"),
            choice=self.request.choice,
            form=form_of(self._claim),
            logprobs=self._claim.asked.get("logprobs"),
        )
        logprobs = TokenProbabilities(self._run.id) if options.logprobs is not None else None
        usage: TokenUsage | None = None
        reason: str | None = None
        said, thought = MarkBound(), MarkBound()
        try:
            async with self._model.stream(
                self._run.model, context.turns, options=options, on_request=self._note_request
            ) as batches:
                async for chunks in batches:
                    if self.gate is not None:
                        await self.gate.wait()
                    text = said.admit("".join([chunk.text for chunk in chunks]).replace("\x00", ""))
                    reasoning = thought.admit("".join([chunk.reasoning for chunk in chunks]).replace("\x00", ""))
                    if reasoning:
                        if self.thinking.first is None:
                            self.call.note_first_reasoning()
                        self.thinking.feed(reasoning)
                    self._write(self._join(await self._limits.admit(text, reasoning)))
                    for chunk in chunks:
                        usage = chunk.usage or usage
                        reason = chunk.finish_reason or reason
                        self.upstream_model = chunk.model or self.upstream_model
                        self.calls = chunk.calls or self.calls
                        self.replay = chunk.replay or self.replay
                        self.images += chunk.images
                        if logprobs is not None and chunk.logprobs:
                            logprobs.add(chunk.logprobs)
                    if self._log.fenced or self._limits.reached is not None:
                        break
        except ProviderError as error:
            if self.first_token is None and self.thinking.first is None and await context.fit_again(error):
                return await self._stream(context)
            self.write_rest()
            if (
                self._continuation is not None
                and error.code == "upstream_empty"
                and not (error.reason or self.thinking.text)
            ):
                return Outcome(RunStatus.DONE, usage=usage, finish=Finish.STOP.value)  # nothing was missing
            metrics.upstream[error.code] += 1
            tracing.mark_failed(self.call.span, error.code)
            logger.warning(
                "upstream_failed",
                run=str(self._run.id),
                code=error.code,
                detail=error.logged_detail,
                model=self._run.model,
            )
            return Outcome(
                RunStatus.FAILED,
                error.code,
                context.refusal(error),
                usage,
                self.first_token_ms,
                said=error.said,
                request_id=error.request_id,
            )
        self.write_rest()
        if logprobs is not None:
            await logprobs.store()
        self.call.note_usage(usage)
        context.learn(usage)
        if (reached := self._limits.reached) is not None:
            return Outcome(reached.status, reached.code, reached.message, usage, self.first_token_ms)
        finish = finish_of(reason)
        metrics.finishes[finish] += 1
        outcome = Outcome(RunStatus.DONE, usage=usage, first_token_ms=self.first_token_ms, finish=finish)
        if self.first_token is None and self.thinking.first is not None and not (self.calls or self.images):
            outcome.code, outcome.message = NO_ANSWER, no_answer_note(finish)
        return outcome

    async def _permits(self, model: str) -> bool:
        """Whether whoever asked may use `model`, which would answer in place of the chosen one."""
        return await may_answer(self._run.user_id, model)

    def _write(self, text: str) -> None:
        """Adds text to the run's log."""
        if self._blank_line:
            text = text.lstrip()
        if not text:
            return
        if self.request.tools:
            self._written.append(text)
        text, self._blank_line = self._blank_line + text, ""
        if self.first_token is None:
            self.first_token = time.monotonic()
            self.call.note_first_token()
        self.thinking.pause()
        self._log.feed(text)

    def _join(self, text: str) -> str:
        """`text` as it goes after the answer that this run continues: at its beginning some of it may be held back."""
        if self._joint is None or self._continuation is None:
            return text
        return self._joint.feed(text, exact=self._continuation.exact)

    def write_rest(self) -> None:
        """Adds what is held back of a continuation that has ended to the run's log."""
        if self._joint is not None:
            self._write(self._joint.end())

    def _note_waiting(self, awaited: Awaited) -> None:
        """Says what is waited for; of a long wait now and then again, for whoever has opened the conversation since."""
        now = time.monotonic()
        if awaited == self._awaited and now - self._said_at < AGAIN_SECONDS:
            return
        self._awaited, self._said_at = awaited, now
        self._log.event(events.run_waiting(self._run, awaited))

    def _note_request(self, endpoint: str, model: str) -> None:
        self.endpoint = endpoint
        if self.context is not None:
            self.context.asked = (endpoint, model)
        self.requested_at = self.requested_at or time.monotonic()
        self.call.note_request(endpoint, model)

    def billed_usage(self, reported: TokenUsage | None, text: str) -> TokenUsage:
        """What an answer of `text` is billed with: what the endpoint reported, unless that cannot be; otherwise what is
        counted here, which is zero when no request was sent.
        """
        if not self.endpoint or self.context is None:
            return reported or TokenUsage(0, 0, estimated=True)
        return self.context.count.bill(
            reported, self.context.turns, text, self.thinking.text, tools=self.request.tools, calls=self.calls
        )

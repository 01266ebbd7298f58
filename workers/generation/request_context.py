"""What one answer's request says: as much of the conversation as its model's window holds, and less after a refusal."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog
from django.conf import settings

from chat.files.sources import StoredSource
from chat.files.uses import UsedFile
from chat.runs.claims import Claim
from workers.generation.context import Fitted, answer_room, fit_exactly, fit_turns
from workers.generation.exact_turns import exact_turns
from workers.generation.tool_use.requests import ONLY, StepRequest, turns_of
from workers.providers.base import ChatTurn, ProviderError, SentOptions, TokenUsage, ToolImage, ToolSpec
from workers.providers.counting import TokenCount
from workers.providers.http.verdict import NOTHING
from workers.providers.model_facts import ModelFacts
from workers.providers.windows import ModelWindow, read_overflow

MARGIN: Final = 0.95  # of a limit that is aimed at after a refusal: the count was wrong
STEPS_SHARE: Final = 0.75  # of a request's tokens, at most, are of the calls and their results
SURE: Final = 1.3  # a question is refused here only if it is so much too long that no count is that wrong

logger = structlog.get_logger(__name__)


class PlacedFiles(Protocol):
    """The files of a run (`workers.generation.steps.run_files.RunFiles`)."""

    @property
    def is_empty(self) -> bool: ...
    @property
    def sources(self) -> Sequence[StoredSource]: ...

    def place(
        self, path: list[tuple[str, str]], ids: Sequence[object], first: int = 0
    ) -> tuple[list[tuple[str, str]], Mapping[int, Sequence[ToolImage]]]: ...

    def images_at(self, placed: Mapping[int, Sequence[uuid.UUID]]) -> Mapping[int, Sequence[ToolImage]]: ...

    def concerns(self, ids: Sequence[object], dropped: int) -> bool: ...

    def uses(self, sent: SentOptions | None) -> list[UsedFile]: ...

    async def shrink(self, budget: int) -> None: ...


class KnownModels(Protocol):
    """What is known of the models: `workers.providers.router.ModelRouter` in a worker."""

    @property
    def facts(self) -> ModelFacts: ...

    def window_of(self, model: str) -> ModelWindow: ...

    def sees(self, model: str) -> bool | None: ...


class NothingKnown:
    """Nothing is known of any model, and tokens are counted by the estimate."""

    def __init__(self) -> None:
        self.facts = ModelFacts()

    def window_of(self, model: str) -> ModelWindow:
        return ModelWindow(model)

    def sees(self, model: str) -> bool | None:
        return None


def usable_window(window: ModelWindow) -> int | None:
    """How much of a window conversations may fill, the answer included, in tokens; None: it is not known."""
    most = settings.MODEL_CONTEXT_MAX_TOKENS
    return window.tokens and (min(window.tokens, most) if most else window.tokens)


def request_budget(window: int | None, max_tokens: int | None) -> int:
    """The tokens that a request may have; without a known window the setting MODEL_CONTEXT_TOKENS."""
    return settings.MODEL_CONTEXT_TOKENS if window is None else window - answer_room(window, max_tokens)


def fit_window(window: ModelWindow, tools: Sequence[ToolSpec], share: float) -> bool:
    """Whether the descriptions of tools take no more than a share of a model's window, as far as it is known."""
    tokens = usable_window(window)
    return tokens is None or not tools or window.count.tools(tools) <= share * tokens


class RequestContext:
    """The turns of one answer's request, and what they fill of the model's window."""

    def __init__(
        self, claim: Claim, models: KnownModels, request: StepRequest = ONLY, files: PlacedFiles | None = None
    ) -> None:
        self._claim = claim
        self._files = files
        self._request = request
        self._models = models
        found = models.window_of(claim.run.model)
        self.window = usable_window(found)
        self.count: TokenCount = found.count
        self.asked: tuple[str, str] = (found.endpoint, claim.run.model)  # the endpoint and model of the last request
        self.retried = False
        self._fitted = self._fit(request_budget(self.window, claim.max_tokens))

    @property
    def turns(self) -> Sequence[ChatTurn]:
        return self._fitted.turns

    @property
    def used(self) -> int:
        """Tokens of the request."""
        return self._fitted.used

    @property
    def dropped(self) -> int:
        """Older messages that are left out."""
        return self._fitted.dropped + self._claim.older

    @property
    def output_factor(self) -> float:
        """What the estimate of the answer is multiplied with, going by the language of the question."""
        return self.count.factor(self.turns[-1].content) if self.turns else 1.0

    def too_long(self) -> str:
        """Why the request cannot be sent, for the user; empty: it can. Only when the question alone is too long."""
        return "" if self.window is None or self.used <= SURE * self.window else self._sentence()

    async def fit_again(self, error: ProviderError) -> bool:
        """Learns from a refusal and makes the request shorter: fewer passages of files, then fewer older messages.
        Returns whether it is now, and may be sent once more. Waits for PostgreSQL where there are files.
        """
        if error.code != "context_too_long" and error.reason != NOTHING:
            return False
        said = read_overflow(error.said) if error.code == "context_too_long" else read_overflow("")
        endpoint, model = self.asked
        if said.window is not None:
            self._models.facts.note_window(endpoint, model, said.window)
            self.window = min(said.window, self.window or said.window)
        if self.retried:
            return False
        self.retried = True
        before = self._fitted
        budget = self._smaller_budget(said.asked if not said.with_answer else None, said.window)
        if self._files is not None:
            await self._files.shrink(budget)
        self._fitted = self._fit(budget)
        if self._fitted.turns == before.turns:
            return False
        logger.info(
            "context_fitted_again",
            run=str(self._claim.run.id),
            window=self.window,
            used=self._fitted.used,
            dropped=self.dropped,
        )
        return True

    def refusal(self, error: ProviderError) -> str:
        """What the user is told after the last refusal: in figures, where what was counted here agrees with it."""
        if error.code != "context_too_long" or self.window is None or self._fitted.kept > 1:
            return error.message
        return self._sentence() if self.used >= self.window / 2 else error.message

    def learn(self, usage: TokenUsage | None) -> None:
        """Learns from the usage of the answer, if the endpoint reported it."""
        if usage is not None:
            self._models.facts.note_usage(*self.asked, self.turns, usage, self._request.tools)

    def _smaller_budget(self, asked: int | None, window: int | None) -> int:
        if window is None:
            return self.used // 2
        budget = MARGIN * request_budget(window, self._claim.max_tokens)
        if asked is not None and asked > self.used:  # it has more tokens than were counted here
            budget *= self.used / asked
        return int(min(budget, MARGIN * self.used))

    def _fit(self, budget: int) -> Fitted:
        claim, request = self._claim, self._request
        path = claim.path
        if claim.text_before and not request.rounds:
            path = [*path, ("assistant", claim.text_before)]
        if claim.exact is not None:
            images = self._files.images_at(claim.exact.placed) if self._files is not None else {}
            turns = exact_turns(claim.exact, images, claim.text_before)
            fitted = fit_exactly(turns, budget_tokens=budget, count=self.count)
            offered = self.count.tools(request.tools) if request.tools else 0
            form = self.count.text(claim.exact.form.text) if claim.exact.form is not None else 0
            return replace(fitted, used=fitted.used + offered + form) if offered + form else fitted
        prompt = "\n\n".join(part for part in (claim.system_prompt, request.instructions) if part)
        offered = self.count.tools(request.tools)
        # The question, and what of the calls cannot be left out, go before older messages.
        most = max(budget - offered - self.count.text(prompt), 0) * STEPS_SHARE
        steps = turns_of(request.rounds, claim.text_before, self.count.turn, int(most)) if request.rounds else []
        used = offered + sum(map(self.count.turn, steps))
        fitted = self._fit_path(prompt, path, budget - used)
        return replace(fitted, turns=[*fitted.turns, *steps], used=fitted.used + used) if used else fitted

    def _fit_path(self, prompt: str, path: list[tuple[str, str]], budget: int) -> Fitted:
        """The turns of the path with its files. Where a message with a file does not fit any more, the file goes with
        the question.
        """
        claim, files = self._claim, self._files
        if files is None or files.is_empty:
            return fit_turns(prompt, path, budget_tokens=budget, count=self.count, summary=claim.summary)
        first = 0
        while True:
            placed, images = files.place(path, claim.ids, first)
            fitted = fit_turns(
                prompt, placed, budget_tokens=budget, count=self.count, summary=claim.summary, images=images
            )
            if fitted.first <= first or not files.concerns(claim.ids, fitted.first):
                return fitted
            first = fitted.first

    def _sentence(self) -> str:
        return (
            f"Your message is too long for this model: with its instructions it has about {self.used:,} tokens, and the"
            f" model reads at most {self.window:,}. Shorten it, or choose a model with a larger window."
        )

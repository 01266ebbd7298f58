"""Ends an answer that reaches a limit while it is written: its length, or what is left of its user's hard quota."""

from __future__ import annotations

from typing import Final

import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.quotas.ceilings import UNLIMITED, Ceiling, known_ceiling, reserve_output
from accounts.quotas.reservations import QuotaFull, reserve_step
from chat.models import RunStatus
from chat.runs.claims import Claim
from chat.runs.context import ClaimedRun
from workers.generation.outcome import Outcome
from workers.generation.tool_use.limits import Room
from workers.providers.token_estimate import TokenCounter, prefix_of_tokens

REASONING_FACTOR: Final = 5  # reasoning, which nobody is shown, may be so many times as long as an answer

logger = structlog.get_logger(__name__)


def quota_stopped(sentence: str) -> Outcome:
    """How an answer ends for which a quota has no more room."""
    return Outcome(RunStatus.STOPPED, "quota_exceeded", f"The answer was stopped. {sentence}")


async def reserve_again(run: ClaimedRun, input_tokens: int) -> Outcome | None:
    """Reserves for a further request of a run; how the run ends if a quota has no room for it. During an outage it goes
    on: its usage is booked all the same.
    """
    if run.user_id is None:
        return None
    try:
        await in_db(reserve_step, run.user_id, run.id, run.model, input_tokens=input_tokens)
    except QuotaFull as full:
        return quota_stopped(str(full))
    except OUTAGE as error:
        logger.warning("quota_not_checked", run=str(run.id), error=type(error).__name__)
    return None


class AnswerLimits:
    """The limits of one request for an answer. `reached` is how the run ends once one of them is reached; None before.

    `written`: how many characters the answer has before it, if other than what the run began with. `room`: what is left
    of the limits of an answer with tools.
    """

    def __init__(self, claim: Claim, written: int | None = None, room: Room | None = None) -> None:
        self.reached: Outcome | None = None
        self._run = claim.run
        self._quotas = claim.quotas
        self._characters = claim.run.base_chars if written is None else written  # the limit is of the whole answer
        self._room = room
        self._reasoning_characters = 0
        self._counter = TokenCounter()
        self._ceiling: Ceiling | None = None
        self._input_tokens = 0

    @property
    def factor(self) -> float:
        """What the estimate of the answer's tokens is multiplied with (`workers.providers.counting`)."""
        return self._counter.factor

    @factor.setter
    def factor(self, factor: float) -> None:
        self._counter.factor = factor

    async def open(self, input_tokens: int, *, again: bool = False) -> Outcome | None:
        """Takes what the claim knows of the quotas; asks PostgreSQL only to change a reservation, and where the request
        is not the run's first one (`again`).

        If nothing is left, returns how the run ends, and no request is sent.
        """
        self._input_tokens = input_tokens
        if self._room is not None and (refused := self._room.open(input_tokens)) is not None:
            return refused
        if again:
            if (refused := await reserve_again(self._run, input_tokens)) is not None:
                return refused
            self._ceiling = await self._reserve(0, starts=True)
        else:
            self._ceiling, must_change = known_ceiling(self._quotas, input_tokens)
            if must_change:
                self._ceiling = await self._reserve(0, starts=True)
        if again and self._ceiling is not None and self._ceiling.possible < 1:
            return quota_stopped(self._ceiling.message)
        if self._ceiling is not None and self._ceiling.possible < 1:
            # Failed and without text: it is not counted as a message.
            return Outcome(RunStatus.FAILED, "quota_exceeded", self._ceiling.message)
        if self._ceiling is not None and self._ceiling.reserved >= UNLIMITED:
            self._ceiling = None
        return None

    def max_tokens(self, chosen: int | None) -> int | None:
        """The `max_tokens` of the request: the conversation's own, or what is left if that is less."""
        if self._ceiling is None:
            return chosen
        return min(chosen or self._ceiling.possible, self._ceiling.possible)

    async def admit(self, text: str, reasoning: str = "") -> str:
        """The part of `text` that is within the limits: all of it until one is reached, which sets `reached`."""
        text = self._within_length(text, reasoning)
        if self._ceiling is None and self._room is None:
            return text
        before = self._counter.tokens
        self._counter.add(reasoning)
        self._counter.add(text)
        tokens = self._counter.tokens
        if self._room is not None and (reached := self._room.check(tokens)) is not None:
            self.reached = reached
            return prefix_of_tokens(text, int(max(self._room.tokens - before, 0) / self.factor))
        if self._ceiling is None:
            return text
        if tokens > self._ceiling.reserved:
            self._ceiling = await self._reserve(tokens + settings.QUOTA_OUTPUT_TOKENS) or self._ceiling
        if tokens > self._ceiling.reserved:
            text = prefix_of_tokens(text, int(max(self._ceiling.reserved - before, 0) / self.factor))
            self.reached = quota_stopped(self._ceiling.message)
        return text

    def _within_length(self, text: str, reasoning: str) -> str:
        room = settings.ANSWER_MAX_CHARS - self._characters
        self._characters += len(text)
        self._reasoning_characters += len(reasoning)
        if len(text) > room or self._reasoning_characters > REASONING_FACTOR * settings.ANSWER_MAX_CHARS:
            message = f"The answer was stopped at its maximum length of {settings.ANSWER_MAX_CHARS:,} characters."
            self.reached = Outcome(RunStatus.STOPPED, "answer_too_long", message)
            return text[:room]
        return text

    async def _reserve(self, wanted: int, *, starts: bool = False) -> Ceiling | None:
        """The ceiling with up to `wanted` tokens reserved. During an outage, the one that was known before."""
        try:
            return await in_db(
                reserve_output,
                self._run.id,
                self._run.model,
                input_tokens=self._input_tokens,
                wanted=wanted,
                starts=starts,
            )
        except OUTAGE as error:
            logger.warning("quota_not_checked", run=str(self._run.id), error=type(error).__name__)
            known = self._ceiling
            return known and Ceiling(known.possible, known.possible, known.message)

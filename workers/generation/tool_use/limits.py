"""What one answer with tools may use: requests, seconds, tokens and money. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from chat.models import CALL_ENDED, RunStatus, Step, StepKind
from chat.runs.tool_limits import ToolLimits
from workers.generation.outcome import Outcome

MILLION: Final = Decimal(1_000_000)
CODE: Final = "tool_limit"


class Room:
    """What is left of the tokens and the money of an answer with tools for its next request. `tokens` are those that
    the model may write; they are known once the request is (`open`).
    """

    def __init__(self, tokens: int | None, cost: Decimal | None, prices: tuple[Decimal, Decimal] | None) -> None:
        self.tokens = 0
        self._tokens = tokens
        self._cost = cost
        self._prices = prices
        self._sentence = ""

    def open(self, input_tokens: int) -> Outcome | None:
        """Counts the request; how the run ends if nothing is left for an answer to it."""
        rooms: list[tuple[float, str]] = [(math.inf, "")]
        if self._tokens is not None:
            rooms.append((self._tokens - input_tokens, "tokens"))
        if self._cost is not None and self._prices is not None:
            of_input, of_output = self._prices
            left = self._cost - of_input * input_tokens / MILLION
            rooms.append((float(left * MILLION / of_output) if of_output else (0 if left < 0 else math.inf), "money"))
        elif self._cost is not None and self._cost <= 0:
            rooms.append((0, "money"))
        room, what = min(rooms)
        self.tokens = 10**12 if room == math.inf else int(room)
        self._sentence = f"The answer was stopped: with tools it may use no more {what}."
        return self.check(1)

    def check(self, tokens: int) -> Outcome | None:
        """How the run ends if the model has written more than so many tokens."""
        return Outcome(RunStatus.STOPPED, CODE, self._sentence) if tokens > self.tokens else None


@dataclass(slots=True)
class Spent:
    """What an answer has used so far. `seconds` are those of earlier attempts; the present one began at `since`, in
    seconds of the monotonic clock.
    """

    limits: ToolLimits
    tokens: int = 0
    cost: Decimal = Decimal(0)
    seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float:
        return self.limits.seconds - self.seconds - (time.monotonic() - self.since)

    def may_call(self, rounds: int) -> bool:
        """Whether further calls may be made, after the calls of so many requests."""
        return rounds < self.limits.steps and self.seconds_left > 0

    def room(self, prices: tuple[Decimal, Decimal] | None) -> Room | None:
        """What is left for the next request; None: no limit applies."""
        tokens, cost = self.limits.tokens, self.limits.cost
        if tokens is None and cost is None:
            return None
        return Room(
            None if tokens is None else tokens - self.tokens, None if cost is None else cost - self.cost, prices
        )


def spent_by(limits: ToolLimits, steps: Sequence[Step]) -> Spent:
    """What the steps of earlier attempts have used. The time of their waits for people is not counted."""
    spent = Spent(limits)
    for step in steps:
        spent.tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
        spent.cost += step.cost or 0
        calls = [call for call in step.calls.all() if call.status in CALL_ENDED]
        spent.cost += sum((call.cost for call in calls if call.cost is not None), Decimal(0))
        if step.kind == StepKind.MODEL and step.ended_at is not None:
            spent.seconds += max(0.0, (step.ended_at - step.started_at).total_seconds())
        times = [
            (call.ended_at - call.started_at).total_seconds() for call in calls if call.started_at and call.ended_at
        ]
        spent.seconds += max([0.0, *times])
    return spent

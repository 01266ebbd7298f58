"""How the stream of an answer ended, and the clock that measures a run."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from chat.models import Finish, RunStatus
from chat.moderation.cases import Finding
from chat.runs.context import ClaimedRun
from workers.providers.base import TokenUsage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Withheld:
    """A finding that ends a run. `original` is the question, or the whole answer; of an answer `kept` stays."""

    finding: Finding
    original: str
    kept: str | None = None  # None: it is the question that is withheld


@dataclass(slots=True)
class Outcome:
    """How a stream ended. `code` and `message` say why there is no complete answer; `message` is for the user."""

    status: RunStatus
    code: str = ""
    message: str = ""
    usage: TokenUsage | None = None
    first_token_ms: int | None = None
    finish: str = ""  # of a complete answer
    said: str = ""  # the provider's own words about a failure, for staff, and its id of the request
    request_id: str = ""
    withheld: Withheld | None = None  # what a judge has the run withhold
    rewritten: bool = False  # something that was shown is withheld already: the event log begins anew after the end


_FINISHES: Final = {
    "length": Finish.LENGTH, "max_tokens": Finish.LENGTH, "max_output_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH, "max_length": Finish.LENGTH, "token_limit": Finish.LENGTH,
    "error_limit": Finish.LENGTH, "max_new_tokens": Finish.LENGTH, "max_completion_tokens": Finish.LENGTH,
    "context_length": Finish.LENGTH, "incomplete": Finish.LENGTH, "model_context_window_exceeded": Finish.LENGTH,
    "content_filter": Finish.FILTERED, "safety": Finish.FILTERED, "recitation": Finish.FILTERED,
    "refusal": Finish.FILTERED, "prohibited_content": Finish.FILTERED, "blocklist": Finish.FILTERED,
    "sensitive": Finish.FILTERED, "spii": Finish.FILTERED, "model_armor": Finish.FILTERED,
    "image_safety": Finish.FILTERED, "error_toxic": Finish.FILTERED, "guardrail_intervened": Finish.FILTERED,
    "content_filtered": Finish.FILTERED, "moderation": Finish.FILTERED,
    "policy_violation": Finish.FILTERED, "violation": Finish.FILTERED,
}  # fmt: skip


def finish_of(reason: str | None) -> str:
    """How an answer with text ended, by the finish reason as OpenAI, Mistral, Anthropic, Gemini and others word it."""
    return _FINISHES.get((reason or "").lower(), Finish.STOP).value


def first_of(found: Iterable[T | None]) -> T | None:
    """The first that is not None, if there is one."""
    return next((one for one in found if one is not None), None)


class RunClock:
    """Milliseconds since a run was created, measured with the monotonic clock from its claim on."""

    __slots__ = ("_claimed_at", "_queued_ms")

    def __init__(self, run: ClaimedRun) -> None:
        self._claimed_at = time.monotonic()
        self._queued_ms = run.queued_ms or 0

    def ms(self, moment: float | None) -> int | None:
        """Milliseconds from the run's creation to `moment` of the monotonic clock; None for None."""
        if moment is None:
            return None
        return int((moment - self._claimed_at) * 1000) + self._queued_ms

    def elapsed_ms(self) -> int | None:
        return self.ms(time.monotonic())

"""What is known of the requests of an answer: of the last one, of the first one, or of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat.files.sources import StoredSource
from chat.files.uses import UsedFile
from chat.runs.claims import Claim
from workers.generation.answer import ModelAnswer
from workers.generation.outcome import first_of
from workers.generation.request_context import RequestContext


class AnswerFigures:
    """Of an answer whose last request is `_last`, after those `_before`."""

    _claim: Claim
    _before: list[ModelAnswer]
    _last: ModelAnswer

    @property
    def requests(self) -> Sequence[ModelAnswer]:
        return (*self._before, self._last)

    @property
    def context(self) -> RequestContext | None:
        return self._last.context

    @property
    def endpoint(self) -> str:
        return self._last.endpoint

    @property
    def upstream_model(self) -> str:
        return self._last.upstream_model

    @property
    def parameters(self) -> dict[str, Any]:
        return self._last.parameters

    @property
    def files(self) -> Sequence[UsedFile]:
        """What the model got of the branch's files."""
        return next((one.files for one in reversed(self.requests) if one.requested_at is not None), ())

    @property
    def sources(self) -> Sequence[StoredSource]:
        """The passages of collections that the model got."""
        return next((one.sources for one in reversed(self.requests) if one.requested_at is not None), ())

    @property
    def requested_at(self) -> float | None:
        return first_of(one.requested_at for one in self.requests)

    @property
    def first_token(self) -> float | None:
        return first_of(one.first_token for one in self.requests)

    @property
    def first_token_ms(self) -> int | None:
        return first_of(one.first_token_ms for one in self.requests)

    @property
    def first_reasoning_ms(self) -> int | None:
        return first_of(one.first_reasoning_ms for one in self.requests)

    @property
    def reasoning_ms(self) -> int:
        """How long the model has thought so far, also in earlier attempts."""
        begun = self._claim.begun.reasoning_ms if self._claim.begun else 0
        return begun + sum(one.reasoning_ms for one in self.requests)

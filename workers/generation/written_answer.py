"""An answer that is being written, as those need it who end, count and judge it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from chat.files.sources import StoredSource
from chat.files.uses import UsedFile
from workers.generation.outcome import Outcome
from workers.generation.request_context import RequestContext
from workers.providers.base import TokenUsage


class WrittenAnswer(Protocol):
    """One request to a model (`answer.ModelAnswer`), or all of them (`steps.loop.StepLoop`)."""

    gate: asyncio.Event | None

    @property
    def context(self) -> RequestContext | None: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def upstream_model(self) -> str: ...
    @property
    def parameters(self) -> dict[str, Any]: ...
    @property
    def files(self) -> Sequence[UsedFile]: ...
    @property
    def sources(self) -> Sequence[StoredSource]: ...
    @property
    def first_reasoning_ms(self) -> int | None: ...
    @property
    def reasoning_ms(self) -> int: ...

    async def read(self) -> Outcome: ...

    def billed_usage(self, reported: TokenUsage | None, text: str) -> TokenUsage: ...

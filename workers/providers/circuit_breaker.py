"""What stands between a run and endpoints that may be down: a circuit breaker for each, and the next one to turn to.

Closed, everything passes. After `FAILURES` failures within `WINDOW_SECONDS` it opens: answers fail at once with
`upstream_unavailable` instead of each waiting for a timeout of its own. After MODEL_RETRY_SECONDS one answer is let
through to see (half-open); its first chunk closes the breaker, its failure opens it again (M. Nygard, Release It!,
ch. 5).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from workers.providers.base import DEFAULT, ChatModel, ChatTurn, Chunk, OnRequest, Options, ProviderError

log = structlog.get_logger(__name__)

FAILURES: Final = 5
WINDOW_SECONDS: Final = 30.0

# The endpoint itself is unwell; anything else it says (a wrong key, a long prompt) it says in good health.
UNWELL: Final = frozenset(
    {"upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_error", "upstream_garbage"}
)
# Where another endpoint may do better. Not: what is wrong with the request would be wrong there too.
ELSEWHERE: Final = UNWELL | {
    "upstream_unavailable", "upstream_rate_limited", "upstream_quota", "upstream_unauthorized", "upstream_empty",
    "model_not_found",
}  # fmt: skip


class Breaker:
    """One endpoint's, open for so many `seconds`. Of one event loop; `clock` in seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        if self._open_until is None:
            return "closed"
        return "open" if self._probing or self._clock() < self._open_until else "half-open"

    @property
    def retry_after(self) -> float:
        """Seconds until it is worth trying."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def enter(self) -> bool:
        """Whether a request may go out. One that did must report with `succeeded`, `failed` or `gone`."""
        if self.state == "open":
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        self._failures.clear()
        if self._open_until is not None:
            log.info("model_endpoint_back")
        self._open_until, self._probing = None, False

    def failed(self) -> None:
        now = self._clock()
        self._failures.append(now)
        often = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
        if self._open_until is not None or often:
            if self._open_until is None:
                log.warning("model_endpoint_given_up", failures=FAILURES, seconds=self.seconds)
            self._open_until, self._probing = now + self.seconds, False

    def gone(self) -> None:
        """A request ended before the endpoint said anything (somebody stopped it): nothing was learnt."""
        self._probing = False


@dataclass(slots=True)
class Endpoint:
    """A model server. `model`, when given, is asked for instead of the one a person chose."""

    chat: ChatModel
    breaker: Breaker
    model: str = ""


class GuardedModel:
    """A `ChatModel` over one endpoint or more: each answer comes from the first that is well.

    The next one is asked only while nothing of the answer was handed out.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = list(endpoints)

    async def open(self) -> None:
        for endpoint in self.endpoints:
            with contextlib.suppress(ProviderError):
                await endpoint.chat.open()

    async def close(self) -> None:
        for endpoint in self.endpoints:
            await endpoint.chat.close()

    async def models(self) -> list[str]:
        return await self.endpoints[0].chat.models()

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        answer = _Answer(self.endpoints, model, turns, options, on_request)
        try:
            yield answer
        finally:
            await answer.close()


class _Answer:
    """Chunks of the first endpoint that gives some."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        on_request: OnRequest | None,
    ) -> None:
        self._left = list(endpoints)
        self._model = model
        self._turns = turns
        self._options = options
        self._on_request = on_request
        self._asked: Endpoint | None = None  # and it has not said anything yet
        self._stream: AbstractAsyncContextManager[AsyncIterator[list[Chunk]]] | None = None
        self._chunks: AsyncIterator[list[Chunk]] | None = None
        self._failure: ProviderError | None = None

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> list[Chunk]:
        while True:
            if self._chunks is None:
                await self._turn_to_next()
            assert self._chunks is not None
            try:
                chunks = await anext(self._chunks)
            except ProviderError as failure:
                begun = self._asked is None
                await self._give_up(failure)
                if begun or failure.code not in ELSEWHERE or not self._left:
                    raise
            except StopAsyncIteration:
                self._well()
                raise
            else:
                self._well()
                return chunks

    async def _turn_to_next(self) -> None:
        """Asks the next endpoint that is not known to be down. Raises what the last one said, or that none is up."""
        while self._left:
            endpoint = self._left.pop(0)
            if not endpoint.breaker.enter():
                wait = endpoint.breaker.retry_after
                self._failure = self._failure or ProviderError(
                    "upstream_unavailable",
                    "The model cannot be reached at the moment. Please try again in a little while.",
                    retry_after=wait,
                    detail=f"given up for another {wait:.0f} s",
                )
                continue
            if self._failure is not None:
                log.info("model_endpoint_next", because=self._failure.code)
            self._asked = endpoint
            self._stream = endpoint.chat.stream(
                endpoint.model or self._model, self._turns, options=self._options, on_request=self._on_request
            )
            self._chunks = await self._stream.__aenter__()
            return
        assert self._failure is not None
        raise self._failure

    def _well(self) -> None:
        if self._asked is not None:
            self._asked.breaker.succeeded()
            self._asked = None

    async def _give_up(self, failure: ProviderError) -> None:
        endpoint, self._asked = self._asked, None
        self._failure = failure
        if endpoint is not None:
            if failure.code in UNWELL:
                endpoint.breaker.failed()
            else:
                endpoint.breaker.succeeded()
        await self._leave()

    async def _leave(self) -> None:
        stream, self._stream, self._chunks = self._stream, None, None
        if stream is not None:
            await stream.__aexit__(None, None, None)

    async def close(self) -> None:
        """Ends the answer, wherever it is."""
        if self._asked is not None:
            self._asked.breaker.gone()
            self._asked = None
        await self._leave()

"""A model with a fallback endpoint, each behind its circuit breaker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from workers.providers.base import DEFAULT, ChatTurn, Chunk, OnRequest, Options, ProviderError
from workers.providers.circuit_breaker import Endpoint, log

# The endpoint itself is unwell; anything else it says (a wrong key, a long prompt) it says in good health.
UNWELL: Final = frozenset(
    {"upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_error", "upstream_garbage"}
)
# Where another endpoint may do better. Not: what is wrong with the request would be wrong there too.
ELSEWHERE: Final = UNWELL | {
    "upstream_unavailable", "upstream_rate_limited", "upstream_quota", "upstream_unauthorized", "upstream_empty",
    "model_not_found",
}  # fmt: skip


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

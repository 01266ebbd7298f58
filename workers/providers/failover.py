"""A model with a fallback endpoint, each behind its circuit breaker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from workers.providers.base import DEFAULT, ChatModel, ChatTurn, Chunk, OnRequest, Options, ProviderError
from workers.providers.circuit_breaker import CircuitBreaker

logger = structlog.get_logger(__name__)

# The endpoint has a problem. With any other error (a wrong key, a long prompt) it works as it should.
UNHEALTHY_CODES: Final = frozenset(
    {"upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_error", "upstream_garbage"}
)
# Errors after which another endpoint is tried. Not those of the request itself: it would fail there too.
FAILOVER_CODES: Final = UNHEALTHY_CODES | {
    "upstream_unavailable", "upstream_rate_limited", "upstream_quota", "upstream_unauthorized", "upstream_empty",
    "model_not_found",
}  # fmt: skip


@dataclass(slots=True)
class GuardedEndpoint:
    """An endpoint and its circuit breaker. `model`, when given, is requested instead of the one that the user chose."""

    chat: ChatModel
    breaker: CircuitBreaker
    model: str = ""


class GuardedModel:
    """A `ChatModel` over one or more endpoints: each answer comes from the first one that works.

    The next endpoint is tried only while no chunk of the answer has been returned.
    """

    def __init__(self, endpoints: Sequence[GuardedEndpoint]) -> None:
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
        answer = FailoverAnswer(self.endpoints, model, turns, options, on_request)
        try:
            yield answer
        finally:
            await answer.close()


class FailoverAnswer:
    """An iterator over the chunks of the first endpoint that sends some."""

    def __init__(
        self,
        endpoints: Sequence[GuardedEndpoint],
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
        self._pending_endpoint: GuardedEndpoint | None = None  # it has not sent a chunk yet
        self._stream: AbstractAsyncContextManager[AsyncIterator[list[Chunk]]] | None = None
        self._chunks: AsyncIterator[list[Chunk]] | None = None
        self._failure: ProviderError | None = None

    def __aiter__(self) -> FailoverAnswer:
        return self

    async def __anext__(self) -> list[Chunk]:
        while True:
            if self._chunks is None:
                await self._open_next()
            assert self._chunks is not None
            try:
                chunks = await anext(self._chunks)
            except ProviderError as failure:
                begun = self._pending_endpoint is None
                await self._note_failure(failure)
                if begun or failure.code not in FAILOVER_CODES or not self._left:
                    raise
            except StopAsyncIteration:
                self._note_success()
                raise
            else:
                self._note_success()
                return chunks

    async def _open_next(self) -> None:
        """Opens a stream of the next endpoint whose breaker allows it. Raises the last failure when there is none."""
        while self._left:
            endpoint = self._left.pop(0)
            if not endpoint.breaker.try_acquire():
                wait = endpoint.breaker.retry_after
                self._failure = self._failure or ProviderError(
                    "upstream_unavailable",
                    "The model can't be reached right now. Please try again in a moment.",
                    retry_after=wait,
                    detail=f"circuit breaker open for {wait:.0f} s",
                )
                continue
            if self._failure is not None:
                logger.info("model_failover_started", because=self._failure.code)
            self._pending_endpoint = endpoint
            self._stream = endpoint.chat.stream(
                endpoint.model or self._model, self._turns, options=self._options, on_request=self._on_request
            )
            self._chunks = await self._stream.__aenter__()
            return
        assert self._failure is not None
        raise self._failure

    def _note_success(self) -> None:
        if self._pending_endpoint is not None:
            self._pending_endpoint.breaker.succeeded()
            self._pending_endpoint = None

    async def _note_failure(self, failure: ProviderError) -> None:
        endpoint, self._pending_endpoint = self._pending_endpoint, None
        self._failure = failure
        if endpoint is not None:
            if failure.code in UNHEALTHY_CODES:
                endpoint.breaker.failed()
            else:
                endpoint.breaker.succeeded()
        await self._leave()

    async def _leave(self) -> None:
        stream, self._stream, self._chunks = self._stream, None, None
        if stream is not None:
            await stream.__aexit__(None, None, None)

    async def close(self) -> None:
        """Ends the answer, finished or not."""
        if self._pending_endpoint is not None:
            self._pending_endpoint.breaker.cancelled()
            self._pending_endpoint = None
        await self._leave()

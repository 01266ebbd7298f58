"""A model with a fallback endpoint, each behind its circuit breaker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from workers.providers.base import (
    DEFAULT,
    Awaited,
    ChatModel,
    ChatTurn,
    Chunk,
    ListedModel,
    OnRequest,
    Options,
    ProviderError,
)
from workers.providers.circuit_breaker import CircuitBreaker, ModelBreakers

logger = structlog.get_logger(__name__)

UNREACHABLE: Final = "upstream_unreachable"  # the endpoint has a problem, whatever the model
# The model has a problem; another one of the same endpoint may work. A timeout is none: a slow model is no dead one.
# With any other error (a wrong key, a long prompt) it works as it should.
UNHEALTHY_CODES: Final = frozenset({"upstream_cut", "upstream_error", "upstream_garbage"})
# Errors after which another endpoint is tried. Not those of the request itself: it would fail there too.
FAILOVER_CODES: Final = UNHEALTHY_CODES | {
    UNREACHABLE, "upstream_timeout", "upstream_unavailable", "upstream_rate_limited", "upstream_quota",
    "upstream_unauthorized", "upstream_empty", "upstream_loading", "model_not_found",
}  # fmt: skip


@dataclass(slots=True)
class GuardedEndpoint:
    """An endpoint and its circuit breakers: `breaker` counts failed connections, `models` the other failures of each
    model. `model`, when given, is requested instead of the one that the user chose.
    """

    chat: ChatModel
    breaker: CircuitBreaker
    model: str = ""
    models: ModelBreakers = field(default_factory=lambda: ModelBreakers(settings.MODEL_RETRY_SECONDS))

    def try_acquire(self, model: str) -> float | None:
        """None if `model` may be requested; else the seconds to wait. Then one of the next three must be called."""
        if not self.breaker.try_acquire():
            return self.breaker.retry_after
        breaker = self.models.of(model)
        if not breaker.try_acquire():
            self.breaker.cancelled()
            return breaker.retry_after
        return None

    def succeeded(self, model: str) -> None:
        self.breaker.succeeded()
        self.models.of(model).succeeded()

    def failed(self, model: str, code: str) -> None:
        breaker = self.models.of(model)
        if code == UNREACHABLE:
            self.breaker.failed()
            breaker.cancelled()
            return
        self.breaker.succeeded()  # it could be reached
        if code in UNHEALTHY_CODES:
            breaker.failed()
        elif code == "upstream_timeout":
            breaker.cancelled()
        else:
            breaker.succeeded()

    def waits(self, model: str) -> None:
        """The server was reached and loads the model, perhaps for minutes: meanwhile other requests are let through.
        Whether the model works is still open, so its failures are not forgotten.
        """
        self.breaker.succeeded()
        self.models.of(model).cancelled()

    def cancelled(self, model: str) -> None:
        self.breaker.cancelled()
        self.models.of(model).cancelled()


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

    async def list_models(self) -> list[ListedModel]:
        return await self.endpoints[0].chat.list_models()

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
            if not await self._permits(self._name(endpoint)):
                continue
            wait = endpoint.try_acquire(self._name(endpoint))
            if wait is not None:
                self._failure = self._failure or ProviderError(
                    "upstream_unavailable",
                    _("The model can't be reached right now. Please try again in a moment."),
                    retry_after=wait,
                    detail=f"circuit breaker open for {wait:.0f} s",
                )
                continue
            if self._failure is not None:
                logger.info("model_failover_started", because=self._failure.code)
            self._pending_endpoint = endpoint
            options = replace(self._options, on_waiting=self._note_waiting, wait_for_loading=not self._left)
            self._stream = endpoint.chat.stream(
                self._name(endpoint), self._turns, options=options, on_request=self._on_request
            )
            self._chunks = await self._stream.__aenter__()
            return
        assert self._failure is not None  # the first endpoint serves the chosen model, which is permitted
        raise self._failure

    async def _permits(self, model: str) -> bool:
        """Whether `model` may answer: it is the chosen one, or whoever asked may use it too."""
        permits = self._options.permits
        if model == self._model or permits is None or await permits(model):
            return True
        logger.info("model_failover_refused", model=model, because="whoever asked may not use it")
        return False

    def _note_waiting(self, awaited: Awaited) -> None:
        if self._pending_endpoint is not None:
            self._pending_endpoint.waits(self._name(self._pending_endpoint))
        if self._options.on_waiting is not None:
            self._options.on_waiting(awaited)

    def _note_success(self) -> None:
        if self._pending_endpoint is not None:
            self._pending_endpoint.succeeded(self._name(self._pending_endpoint))
            self._pending_endpoint = None

    def _name(self, endpoint: GuardedEndpoint) -> str:
        """The name of the model there."""
        return endpoint.model or self._model

    async def _note_failure(self, failure: ProviderError) -> None:
        endpoint, self._pending_endpoint = self._pending_endpoint, None
        self._failure = failure
        if endpoint is not None:
            endpoint.failed(self._name(endpoint), failure.code)
        await self._leave()

    async def _leave(self) -> None:
        stream, self._stream, self._chunks = self._stream, None, None
        if stream is not None:
            await stream.__aexit__(None, None, None)

    async def close(self) -> None:
        """Ends the answer, finished or not."""
        if self._pending_endpoint is not None:
            self._pending_endpoint.cancelled(self._name(self._pending_endpoint))
            self._pending_endpoint = None
        await self._leave()

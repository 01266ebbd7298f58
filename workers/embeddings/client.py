"""The embedding model of a worker: requests behind a circuit breaker and a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from django.conf import settings

from workers.embeddings.config import EmbedderDefinition
from workers.embeddings.wire import Embedded, EmbeddingError, read_answer, request_of
from workers.providers.base import ProviderError, TokenUsage
from workers.providers.circuit_breaker import CircuitBreaker
from workers.providers.config import Timeouts
from workers.providers.http.dialect import Target
from workers.providers.http.network_errors import EDGE_ERRORS, translate
from workers.providers.http.transport import Transport
from workers.providers.kinds import make_dialect
from workers.providers.token_estimate import estimate_tokens

PASSAGES_SECONDS: Final = 60.0  # that a request for the vectors of passages may take: on a CPU they take seconds
CONNECT_SECONDS: Final = 2.0
# What the endpoint says of these texts, and not of itself: it answers others.
OF_TEXTS: Final = frozenset({"upstream_refused", "context_too_long"})

logger = structlog.get_logger(__name__)


class Embedder:
    """It belongs to one event loop."""

    def __init__(self, definition: EmbedderDefinition, breaker: CircuitBreaker | None = None) -> None:
        self.definition = definition
        self.failing = bool(definition.trouble)  # its last request gave nothing
        self._breaker = breaker or CircuitBreaker(settings.MODEL_RETRY_SECONDS)
        self._transport: Transport | None = None
        endpoint = definition.endpoint
        if not definition.trouble:
            timeouts = Timeouts(
                connect=CONNECT_SECONDS, first_chunk=PASSAGES_SECONDS, idle=PASSAGES_SECONDS, total=PASSAGES_SECONDS
            )
            self._transport = Transport(
                make_dialect(endpoint), endpoint.base_url, endpoint.api_key, timeouts, extras=endpoint.extras,
                strict=endpoint.strict,
            )  # fmt: skip

    @property
    def is_open(self) -> bool:
        """Whether it is known to give nothing at the moment."""
        return self._transport is None or self._breaker.state == "open"

    async def embed_question(self, text: str) -> tuple[Embedded, TokenUsage]:
        """The vector of a question, within the seconds that a question waits. Raises `EmbeddingError`."""
        return await self._embed([_with(self.definition.question_prefix, text)], self.definition.seconds)

    async def embed_passages(self, texts: Sequence[str]) -> tuple[Embedded, TokenUsage]:
        """The vectors of passages, in their order. Raises `EmbeddingError`."""
        prefix = self.definition.passage_prefix
        return await self._embed([_with(prefix, text) for text in texts], PASSAGES_SECONDS)

    async def _embed(self, texts: Sequence[str], seconds: float) -> tuple[Embedded, TokenUsage]:
        if self._transport is None or not self._breaker.try_acquire():
            raise EmbeddingError(
                "embedding_unavailable", self.definition.trouble or "circuit breaker open",
                retry_after=self._breaker.retry_after,
            )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                found = await self._ask(self._transport, texts)
        except EmbeddingError as error:
            failure = error
        except TimeoutError:
            failure = EmbeddingError("embedding_timeout", f"no vectors within {seconds:g} s")
        except asyncio.CancelledError:
            self._breaker.cancelled()
            raise
        else:
            self._breaker.succeeded()
            self.failing = False
            return found, _usage_of(found, texts)
        if failure.code in OF_TEXTS:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
            if not self.failing:
                logger.warning("embedding_failed", embedder=self.definition.name, code=failure.code,
                               detail=failure.detail)  # fmt: skip
            self.failing = True
        raise failure

    async def _ask(self, transport: Transport, texts: Sequence[str]) -> Embedded:
        definition = self.definition
        path = "v1/embeddings" if definition.endpoint.kind == "ollama" else "embeddings"
        body = request_of(definition.model, texts, definition.dimensions)  # added fields are those of chats
        try:
            raw = await transport.fetch_body(Target(path), body)
        except ProviderError as error:
            failure = error
        except EDGE_ERRORS as error:
            failure = translate(error, transport.secrets)
        else:
            return read_answer(raw, len(texts), definition.dimensions)
        # Outside of the handler, so that no request, which holds the key, is attached to it.
        raise EmbeddingError(failure.code, failure.logged_detail, retry_after=failure.retry_after)

    async def aclose(self) -> None:
        if self._transport is not None:
            await self._transport.close()


def _with(prefix: str, text: str) -> str:
    return f"{prefix} {text}" if prefix else text


def _usage_of(found: Embedded, texts: Sequence[str]) -> TokenUsage:
    if found.tokens is not None:
        return TokenUsage(found.tokens, 0)
    return TokenUsage(sum(map(estimate_tokens, texts)), 0, estimated=True)

"""A `ChatModel` for any OpenAI-compatible API. `transport.py` does the HTTP, `request.py` one answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

import msgspec
import structlog

from workers.providers.base import DEFAULT, ChatTurn, Chunk, OnRequest, Options, ProviderError
from workers.providers.config import Timeouts
from workers.providers.openai.learned import Learned
from workers.providers.openai.network_errors import EDGE_ERRORS, translate
from workers.providers.openai.request import OpenAIRequest
from workers.providers.openai.transport import OpenAITransport

MODELS_TIMEOUT: Final = 10.0  # seconds

logger = structlog.get_logger(__name__)


class _ModelEntry(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ModelEntry] | None = None  # Ollama sends null when it has no model


_decode_models = msgspec.json.Decoder(_ModelList).decode


class OpenAIChat:
    """One OpenAI-compatible endpoint: a `ChatModel`. The parameters are those of `OpenAITransport`."""

    def __init__(self, base_url: str, api_key: str, *, timeouts: Timeouts | None = None, strict: bool = False) -> None:
        self.transport = OpenAITransport(base_url, api_key, timeouts or Timeouts.from_settings(), strict=strict)
        self.learned = Learned()

    async def open(self) -> None:
        """Requests the list of models, which leaves a warm connection. A failure is only logged."""
        with contextlib.suppress(ProviderError):
            await self.models()

    async def close(self) -> None:
        await self.transport.close()

    async def models(self) -> list[str]:
        """The models that the endpoint lists. A regular request also keeps a connection warm."""
        try:
            async with asyncio.timeout(MODELS_TIMEOUT):
                body = await self.transport.get_models()
            return [entry.id for entry in _decode_models(body).data or ()]
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = ProviderError("upstream_garbage", "The model's server did not send a list of models.")
        except EDGE_ERRORS as error:
            failure = translate(error, self.transport.secrets)
        logger.warning("model_endpoint_unavailable", code=failure.code, detail=failure.detail)
        raise failure  # outside of the handler, so that no request, which holds the key, is attached to it

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        request = OpenAIRequest(self.transport, self.learned, model, turns, options, on_request)
        try:
            yield request
        finally:
            await request.close()

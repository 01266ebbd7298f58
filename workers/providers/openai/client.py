"""A `ChatModel` for any OpenAI-compatible API. `transport.py` does the HTTP, `request.py` one answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Final

import structlog

from workers.providers.base import DEFAULT, ChatTurn, Chunk, ListedModel, OnRequest, Options, ProviderError
from workers.providers.config import Timeouts
from workers.providers.openai.continuing import choose_style
from workers.providers.openai.learned import Learned
from workers.providers.openai.listing import parse_models
from workers.providers.openai.network_errors import EDGE_ERRORS, translate
from workers.providers.openai.request import OpenAIRequest
from workers.providers.openai.transport import OpenAITransport

MODELS_TIMEOUT: Final = 10.0  # seconds

logger = structlog.get_logger(__name__)


class OpenAIChat:
    """One OpenAI-compatible endpoint: a `ChatModel`. The parameters are those of `OpenAITransport`, and `prefill`: how
    it is asked to go on with an answer (`continuing.py`).
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeouts: Timeouts | None = None,
        model_timeouts: Mapping[str, Timeouts] | None = None,
        strict: bool = False,
        prefill: str = "",
    ) -> None:
        self.transport = OpenAITransport(base_url, api_key, timeouts or Timeouts.from_settings(), strict=strict)
        self.model_timeouts = model_timeouts or {}
        self.learned = Learned()
        self.prefill = choose_style(prefill, base_url)

    async def open(self) -> None:
        """Requests the list of models, which leaves a warm connection. A failure is only logged."""
        with contextlib.suppress(ProviderError):
            await self.models()

    async def close(self) -> None:
        await self.transport.close()

    async def models(self) -> list[str]:
        """The names of the models that the endpoint lists. A regular request also keeps a connection warm."""
        return [model.id for model in await self.list_models()]

    async def list_models(self) -> list[ListedModel]:
        """What the endpoint lists."""
        try:
            async with asyncio.timeout(MODELS_TIMEOUT):
                body = await self.transport.get_models()
            return parse_models(body)
        except ProviderError as error:
            failure = error
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
        timeouts = self.model_timeouts.get(model, self.transport.timeouts)
        request = OpenAIRequest(
            self.transport, self.learned, model, turns, options, on_request, timeouts, self.prefill
        )  # fmt: skip
        try:
            yield request
        finally:
            await request.close()

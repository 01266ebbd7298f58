"""A `ChatModel` over HTTP, for any dialect. `transport.py` does the HTTP, `request.py` one answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Final

import structlog

from workers.providers.base import DEFAULT, ChatTurn, Chunk, ListedModel, OnRequest, Options, ProviderError
from workers.providers.config import NO_EXTRAS, Extras, Timeouts
from workers.providers.http.continuing import choose_style
from workers.providers.http.dialect import Dialect
from workers.providers.http.learned import Learned
from workers.providers.http.negotiation import Negotiation
from workers.providers.http.network_errors import EDGE_ERRORS, translate
from workers.providers.http.request import AnswerRequest
from workers.providers.http.transport import Transport
from workers.providers.model_facts import ModelFacts

MODELS_TIMEOUT: Final = 10.0  # seconds

logger = structlog.get_logger(__name__)


class HttpChat:
    """One endpoint: a `ChatModel`. The parameters are those of `Transport`; `model_extras` are of single models.

    `prefill`: how it is asked to go on with an answer (`continuing.py`); empty: by its address and API. `facts` keeps
    what its models refuse; without it, that is only remembered here.
    """

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        api_key: str,
        *,
        timeouts: Timeouts | None = None,
        model_timeouts: Mapping[str, Timeouts] | None = None,
        extras: Extras = NO_EXTRAS,
        model_extras: Mapping[str, Extras] | None = None,
        strict: bool = False,
        prefill: str = "",
        facts: ModelFacts | None = None,
    ) -> None:
        self.dialect = dialect
        self.transport = Transport(
            dialect, base_url, api_key, timeouts or Timeouts.from_settings(), extras=extras,
            model_extras=(model_extras or {}).values(), strict=strict,
        )  # fmt: skip
        self.model_timeouts = model_timeouts or {}
        self.extras = extras
        self.model_extras = {model: extras.with_model(own) for model, own in (model_extras or {}).items()}
        self.learned = Learned(facts, self.transport.host)
        self.prefill = choose_style(prefill, base_url, dialect.continues)

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
                return await self.dialect.list_models(self.transport.fetch_body)
        except ProviderError as error:
            failure = error.with_traceback(None)  # its frames hold what the endpoint said, which may repeat the key
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
        extras = self.model_extras.get(model, self.extras)
        request = AnswerRequest(
            self.dialect,
            self.transport,
            Negotiation(self.dialect, self.learned, model, turns, options, self.prefill),
            model,
            turns,
            options,
            on_request,
            timeouts,
            extras,
        )
        try:
            yield request
        finally:
            await request.close()

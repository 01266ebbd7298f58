"""A `ChatModel` for any OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Mapping

from workers.providers.config import NO_EXTRAS, Extras, Timeouts
from workers.providers.http.client import HttpChat
from workers.providers.openai.dialect import OpenAIDialect


class OpenAIChat(HttpChat):
    """One OpenAI-compatible endpoint. The parameters are those of `HttpChat`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeouts: Timeouts | None = None,
        model_timeouts: Mapping[str, Timeouts] | None = None,
        extras: Extras = NO_EXTRAS,
        model_extras: Mapping[str, Extras] | None = None,
        strict: bool = False,
        prefill: str = "",
    ) -> None:
        super().__init__(
            OpenAIDialect(), base_url, api_key, timeouts=timeouts, model_timeouts=model_timeouts, extras=extras,
            model_extras=model_extras, strict=strict, prefill=prefill,
        )  # fmt: skip

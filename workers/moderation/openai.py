"""OpenAI's moderation API (`POST /v1/moderations`), which other servers offer as well.

Its own yes or no is not used: the scores are compared with the site's thresholds. Source: OpenAI API reference,
"Create moderation".
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from chat.models.moderation import Category
from workers.moderation.base import GARBAGE, JudgeError, Opinion, Picture, category_of, error_of, highest
from workers.providers.base import ProviderError, TokenUsage
from workers.providers.config import Definition
from workers.providers.http.dialect import Target
from workers.providers.http.network_errors import EDGE_ERRORS, translate
from workers.providers.http.transport import Transport
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.token_estimate import estimate_tokens

MOST_BYTES: Final = 256 * 1024  # of an answer, which has 13 numbers


class _Result(msgspec.Struct):
    category_scores: dict[str, float | None] = {}
    categories: dict[str, bool | None] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Answer).decode


class OpenAIModeration:
    """A `JudgeBackend`."""

    def __init__(self, definition: Definition, model: str) -> None:
        self.model = model
        self.endpoint = definition.ledger_name
        self._transport = Transport(
            OpenAIDialect(), definition.base_url, definition.api_key, definition.timeouts, extras=definition.extras,
            strict=definition.strict,
        )  # fmt: skip

    @property
    def sees(self) -> bool:
        """Of OpenAI's models those named omni-moderation read pictures, one in a request."""
        return "omni" in self.model

    async def judge(self, text: str) -> Opinion:
        """OpenAI's API reports no usage: the tokens of the text are estimated."""
        return Opinion(await self._scores_of(text), TokenUsage(estimate_tokens(text), 0, estimated=True))

    async def judge_picture(self, picture: Picture) -> Opinion:
        """Nothing is billed for a picture: its tokens are not known."""
        url = f"data:{picture.media_type};base64,{base64.b64encode(picture.content).decode()}"
        return Opinion(await self._scores_of([{"type": "image_url", "image_url": {"url": url}}]))

    async def _scores_of(self, asked: str | list[dict[str, object]]) -> dict[Category, float]:
        try:
            raw = await self._transport.fetch_body(Target("moderations"), {"model": self.model, "input": asked})
        except ProviderError as error:
            failure = error_of(error)
        except EDGE_ERRORS as error:
            failure = error_of(translate(error, self._transport.secrets))
        else:
            return read_scores(raw)
        raise failure  # outside of the handler, so that no request, which holds the key, is attached to it

    async def aclose(self) -> None:
        await self._transport.close()


def read_scores(raw: bytes) -> dict[Category, float]:
    """The scores of an answer. A server that has none, only yes or no, is taken at its word. Raises `JudgeError`."""
    if len(raw) > MOST_BYTES:
        raise JudgeError(GARBAGE, f"an answer of {len(raw)} bytes")
    try:
        results = _decode(raw).results
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise JudgeError(GARBAGE, "not an answer of the moderation API") from None
    named = [result.category_scores or result.categories for result in results]
    if not named or not all(named):
        raise JudgeError(GARBAGE, "an answer without scores")
    return highest(
        *(
            {category_of(name): min(1.0, max(0.0, float(score)))}
            for scores in named
            for name, score in scores.items()
            if score is not None
        )
    )

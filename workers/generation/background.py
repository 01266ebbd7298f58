"""Asks a model for something that no user waits for, such as a title or a summary, and bills it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from django.utils import timezone

from accounts.lib.db import in_db
from accounts.quotas.settlement import settle_background
from chat.runs.context import ClaimedRun
from workers.generation.ledger import used_of
from workers.generation.permission import may_answer
from workers.generation.request_context import KnownModels
from workers.providers.base import ChatModel, ChatTurn, Options, TokenUsage
from workers.providers.thinking_tags import split_unopened

SAME: Final = "same"  # in a setting: the model that answered


class Said(NamedTuple):
    text: str
    reasoning: str


async def ask_in_background(
    model: ChatModel,
    models: KnownModels,
    name: str,
    turns: Sequence[ChatTurn],
    *,
    run: ClaimedRun,
    purpose: str,
    payer: uuid.UUID | None,
    max_tokens: int | None,
) -> Said:
    """What the model `name` says. Raises `ProviderError`. Another one answers in its place, when its endpoint is down,
    only if whoever asked for the run may use that one.

    Whatever it used is recorded with the purpose, also when it fails in the middle: for `payer`, or with None for the
    site. A request to which nothing came back is not recorded.
    """
    asked: list[tuple[str, str]] = []
    text: list[str] = []
    reasoning: list[str] = []
    usage: TokenUsage | None = None
    options = Options(max_tokens=max_tokens, permits=partial(may_answer, run.user_id))
    try:
        async with model.stream(name, turns, options=options, on_request=lambda *who: asked.append(who)) as batches:
            async for chunks in batches:
                for chunk in chunks:
                    text.append(chunk.text)
                    reasoning.append(chunk.reasoning)
                    usage = chunk.usage or usage
    finally:
        said = Said("".join(text), "".join(reasoning))
        if asked and (text or usage):
            endpoint, answering = asked[-1]
            if usage is None or usage.estimated:
                usage = models.facts.count(endpoint, answering).usage(turns, *said)
            else:
                models.facts.note_usage(endpoint, answering, turns, usage)
            used = used_of(answering, endpoint, usage)
            await in_db(
                settle_background, payer, timezone.now(), used, purpose=purpose, conversation_id=run.conversation_id
            )
    return separate(said)


def separate(said: Said) -> Said:
    """The same without thinking in the text, where the model sends no opening tag and that is not known of it yet."""
    found = None if said.reasoning else split_unopened(said.text)
    return said if found is None else Said(found.answer, found.thinking)

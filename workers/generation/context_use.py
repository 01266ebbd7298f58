"""How much of a conversation a model reads for an answer: the `context` of a run's closing event.

The one place that knows. `used` is not here: it is the input that the run is billed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat.catalog.offered_models import offered_models
from workers.generation.context import split_exchanges
from workers.providers.base import ChatTurn


@dataclass(frozen=True, slots=True)
class ContextUse:
    """`window` is that of the model, in tokens; None where it is not known. `dropped` counts the messages that were
    left out, oldest first, of those that were read.
    """

    window: int | None = None
    dropped: int = 0


def context_use(model: str, path: Sequence[tuple[str, str]], turns: Sequence[ChatTurn]) -> ContextUse:
    """What is known of a request: `turns` were made of `path` for `model`."""
    window = next((one.get("window") for one in offered_models() if one["id"] == model), None)
    kept = sum(turn.role != "system" for turn in turns)
    return ContextUse(window, sum(map(len, split_exchanges(path))) - kept)

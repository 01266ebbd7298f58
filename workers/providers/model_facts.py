"""What a worker knows of the models it uses: windows learnt from refusals, and factors learnt from reported usage.

It is kept in memory, where answers read it, and shared between workers by `workers.endpoints.model_facts`. Only the
worker's loop changes it. A model is named by its endpoint's name in the ledger and its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from workers.providers.base import ChatTurn, TokenUsage
from workers.providers.counting import ESTIMATE, Ratios, TokenCount

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Facts:
    """`window` is in tokens, `window_at` when it was learnt."""

    endpoint: str
    model: str
    window: int | None = None
    window_at: datetime | None = None
    ratios: Ratios = field(default_factory=Ratios)


class ModelFacts:
    """All facts of this process. `load` brings in what other workers have learnt; `take_changed` is to be stored."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Facts] = {}
        self._changed: set[tuple[str, str]] = set()

    def of(self, endpoint: str, model: str) -> Facts | None:
        return self._known.get((endpoint, model))

    def count(self, endpoint: str, model: str) -> TokenCount:
        """How to count tokens for a model."""
        known = self._known.get((endpoint, model))
        return ESTIMATE if known is None else TokenCount(known.ratios.factors())

    def note_usage(self, endpoint: str, model: str, turns: Sequence[ChatTurn], usage: TokenUsage) -> None:
        """Learns from the reported usage of a request with these turns (`counting.Ratios.note`)."""
        known = self._find(endpoint, model)
        if known.ratios.note(turns, usage):
            self._changed.add((endpoint, model))
        if known.window is not None and not usage.estimated and usage.input_tokens > known.window:
            known.window = known.window_at = None  # it reads more than that
            self._changed.add((endpoint, model))

    def note_window(self, endpoint: str, model: str, tokens: int) -> None:
        """A refusal named the model's window."""
        known = self._find(endpoint, model)
        if known.window != tokens:
            logger.info("model_window_learnt", endpoint=endpoint, model=model, window=tokens)
        known.window, known.window_at = tokens, datetime.now(UTC)
        self._changed.add((endpoint, model))

    def load(self, stored: Iterable[Facts]) -> None:
        """Takes over what is stored, but for what this process has learnt since it last stored."""
        for facts in stored:
            name = (facts.endpoint, facts.model)
            if name not in self._changed:
                self._known[name] = facts

    def take_changed(self) -> list[Facts]:
        """What is not stored yet; it counts as stored from here on."""
        found = [self._known[name] for name in self._changed]
        self._changed.clear()
        return found

    def put_back(self, facts: Iterable[Facts]) -> None:
        """These could not be stored."""
        self._changed.update((one.endpoint, one.model) for one in facts)

    def _find(self, endpoint: str, model: str) -> Facts:
        return self._known.setdefault((endpoint, model), Facts(endpoint, model))

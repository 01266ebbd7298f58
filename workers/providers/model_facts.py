"""What a worker knows of the models it uses: windows and what they do not accept, learnt from refusals, and factors
learnt from reported usage.

It is kept in memory, where answers read it, and shared between workers by `workers.endpoints.model_facts`. Only the
worker's loop changes it. A model is named by its endpoint's name in the ledger and its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from workers.providers.base import ChatTurn, TokenUsage, ToolSpec
from workers.providers.counting import ESTIMATE, Ratios, TokenCount
from workers.providers.vocabulary import AnswerVocabulary, Vocabularies

REMEMBERED: Final = timedelta(days=1)  # then what a model refused is tried again: a server may have been updated
TOOLS: Final = "tools"  # the name of what a model refuses that takes no tools
# With a closing tag: its answers begin inside of thinking, without the tag that opens it (`thinking_tags.py`).
OPENING_TAG: Final = "opening_tag "
EFFORTS: Final = ("reasoning_effort", "reasoning", "effort", "think", "thinkingConfig")  # names of the field for it

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Facts:
    """`window` is in tokens, `window_at` when it was learnt.

    `refused` is what the model does not accept (`workers.providers.http.learned.Lesson`), and when that was learnt;
    `fresh` is the part of it that is not stored yet.
    """

    endpoint: str
    model: str
    window: int | None = None
    window_at: datetime | None = None
    ratios: Ratios = field(default_factory=Ratios)
    refused: dict[str, datetime] = field(default_factory=dict)
    fresh: dict[str, datetime] = field(default_factory=dict)


class ModelFacts:
    """All facts of this process, and the `vocabularies` that it counts with. `load` brings in what other workers have
    learnt; `take_changed` is to be stored.
    """

    def __init__(self) -> None:
        self.vocabularies = Vocabularies()
        self._known: dict[tuple[str, str], Facts] = {}
        self._changed: set[tuple[str, str]] = set()

    def of(self, endpoint: str, model: str) -> Facts | None:
        return self._known.get((endpoint, model))

    def count(self, endpoint: str, model: str) -> TokenCount:
        """How to count tokens for one answer of a model."""
        known = self._known.get((endpoint, model))
        vocabulary = self.vocabularies.of(model)
        if vocabulary is None:
            return ESTIMATE if known is None else TokenCount(known.ratios.factors())
        return TokenCount({} if known is None else known.ratios.factors(), AnswerVocabulary(vocabulary))

    def note_usage(
        self,
        endpoint: str,
        model: str,
        turns: Sequence[ChatTurn],
        usage: TokenUsage,
        tools: Sequence[ToolSpec] = (),
    ) -> None:
        """Learns from the reported usage of a request with these turns and tools (`counting.Ratios.note`)."""
        known = self._find(endpoint, model)
        if known.ratios.note(turns, usage, tools):
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

    def note_refused(self, endpoint: str, model: str, what: str) -> None:
        """The model does not accept this."""
        known = self._find(endpoint, model)
        known.refused[what] = known.fresh[what] = datetime.now(UTC)
        self._changed.add((endpoint, model))

    def note_accepted(self, endpoint: str, model: str, what: str) -> None:
        """The model accepts this after all. Its time lies too far back, so that no worker counts it any more."""
        known = self._find(endpoint, model)
        known.refused[what] = known.fresh[what] = datetime.now(UTC) - REMEMBERED
        self._changed.add((endpoint, model))

    def refuses(self, endpoint: str, model: str, what: str) -> bool:
        """Whether the model has refused this lately."""
        known = self._known.get((endpoint, model))
        return known is not None and what in known.refused and is_remembered(known.refused[what])

    def refuses_tools(self, endpoint: str, model: str) -> bool:
        """Whether the model has said lately that it takes no tools."""
        return self.refuses(endpoint, model, TOOLS)

    def refused_parameters(self, endpoint: str, model: str) -> list[str]:
        """The parameters of conversations that are left out for the model."""
        known = self._known.get((endpoint, model))
        if known is None or not known.refused:
            return []
        return name_parameters([what for what, at in known.refused.items() if is_remembered(at)])

    def load(self, stored: Iterable[Facts]) -> None:
        """Takes over what is stored, but for what this process has learnt since it last stored."""
        for facts in stored:
            name = (facts.endpoint, facts.model)
            if name not in self._changed:
                self._known[name] = facts

    def take_changed(self) -> list[Facts]:
        """What is not stored yet; it counts as stored from here on."""
        found = [replace(self._known[name]) for name in self._changed]
        for name in self._changed:
            self._known[name].fresh = {}
        self._changed.clear()
        return found

    def put_back(self, facts: Iterable[Facts]) -> None:
        """These could not be stored."""
        for one in facts:
            known = self._find(one.endpoint, one.model)
            known.fresh = one.fresh | known.fresh
            self._changed.add((one.endpoint, one.model))

    def _find(self, endpoint: str, model: str) -> Facts:
        return self._known.setdefault((endpoint, model), Facts(endpoint, model))


def is_remembered(at: datetime) -> bool:
    """Whether what was learnt then still counts."""
    return datetime.now(UTC) - at < REMEMBERED


def name_parameters(refused: Collection[str]) -> list[str]:
    """The parameters of conversations that a model does not accept in any form, by the names of what it refused."""
    length = ("max_output_tokens", "maxOutputTokens", "num_predict", "answer_length")
    effort = any(name in refused for name in EFFORTS) or {"adaptive", "budget"} <= set(refused)
    return [
        *(["temperature"] if "temperature" in refused else []),
        *(
            ["max_tokens"]
            if any(name in refused for name in length) or {"max_tokens", "max_completion_tokens"} <= set(refused)
            else []
        ),
        *(["effort"] if effort else []),
    ]

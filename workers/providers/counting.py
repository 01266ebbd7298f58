"""Counts tokens with the model's own vocabulary where one is at hand (`workers.providers.vocabulary`), else by the
estimate times a factor that is learnt from the usage which an endpoint reports.

Tokenizers differ most between scripts: Georgian or Tamil has two to four times as many tokens as the estimate, Japanese
about two thirds. So there is a factor for each kind of text of each model, and one for the descriptions of tools, which
each API writes in its own way. Pure: no I/O.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from workers.providers.base import ChatTurn, RequestedCall, TokenUsage, ToolSpec
from workers.providers.token_estimate import (
    ANSWER_TOKENS,
    TOOL_TOKENS,
    TURN_TOKENS,
    calls_text,
    estimate_tokens,
    image_tokens,
    larger_usage,
    least_usage,
    tool_size,
    turn_text,
)
from workers.providers.vocabulary import AnswerVocabulary

KEPT_RATIOS: Final = 11  # of each kind; their median is the factor
LEAST_RATIO, GREATEST_RATIO = 0.2, 6.0  # no tokenizer is beyond; such a report is ignored
LEAST_TOKENS: Final = 32  # of an estimate that says anything: a short prompt is mostly the server's own template
LEAST_SHARE: Final = 0.8  # of a request must be of one kind for the factor of that kind
MIXED_SHARE: Final = 0.25  # of a request with tools, at least, to learn from what is not the tools
MOST_KINDS: Final = 24  # of one model
SAMPLE_CHARS: Final = 200
DATA_WORD: Final = 30  # characters of a word on average: base64 and the like
OTHER_SHARE: Final = 0.25  # of a text's characters that make it one of another script

PLAIN, DATA, KANA = "ascii", "data", "kana"
TOOLS: Final = "tools"  # the kind of their descriptions


def kind_of(text: str) -> str:
    """The kind of a text as far as tokenizers care: `ascii`, `data` (base64 and the like), `kana` (Japanese), or its
    script as Unicode names it in lower case (`cjk`, `georgian`, `tamil`).
    """
    if text.isascii():
        words = text.count(" ") + text.count("\n") + 1
        return DATA if len(text) > 4 * DATA_WORD and len(text) / words > DATA_WORD else PLAIN
    sample = text[:: max(1, len(text) // SAMPLE_CHARS)]
    scripts: dict[str, int] = {}
    for char in sample:
        if not char.isascii() and (char.isalpha() or unicodedata.category(char)[0] == "M"):
            name = unicodedata.name(char, "").partition(" ")[0].lower()
            scripts[KANA if name in ("hiragana", "katakana", "katakana-hiragana") else name] = (
                scripts.get(KANA if name in ("hiragana", "katakana", "katakana-hiragana") else name, 0) + 1
            )
    if not scripts or sum(scripts.values()) < OTHER_SHARE * sum(not char.isspace() for char in sample):
        return PLAIN
    if scripts.get(KANA, 0) > 0.1 * sum(scripts.values()):
        return KANA
    found = max(scripts, key=lambda script: scripts[script])
    return PLAIN if found == "latin" else found.split("-")[0]


@dataclass(slots=True)
class Ratios:
    """Real tokens divided by estimated ones, by kind of text: the last `KEPT_RATIOS` of each."""

    kinds: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: object) -> Ratios:
        """What was stored as JSON; anything odd in it is left out."""
        found = cls()
        for kind, ratios in stored.items() if isinstance(stored, dict) else ():
            good = [float(one) for one in ratios if isinstance(one, int | float)] if isinstance(ratios, list) else []
            if good:
                found.kinds[str(kind)] = [one for one in good if LEAST_RATIO <= one <= GREATEST_RATIO][-KEPT_RATIOS:]
        return found

    def factors(self) -> dict[str, float]:
        return {kind: median(ratios) for kind, ratios in self.kinds.items() if ratios}

    def note(self, turns: Sequence[ChatTurn], usage: TokenUsage, tools: Sequence[ToolSpec] = ()) -> bool:
        """Learns from the reported usage of a request with these turns and tools. Returns whether there are other
        factors now.

        Estimated and implausible usage teaches nothing, nor does a short request, one of mixed kinds, or one with
        images. A request that is mostly tools teaches their factor; with it, others teach that of the text.
        """
        if usage.estimated or usage.implausible or any(turn.images for turn in turns):
            return False
        found = self._ratio(turns, usage.input_tokens, tools)
        if found is None:
            return False
        kind, ratio = found
        before = self.factors().get(kind)
        if before is None and len(self.kinds) >= MOST_KINDS:
            return False
        kept = self.kinds.setdefault(kind, [])
        kept.append(round(ratio, 4))
        del kept[:-KEPT_RATIOS]
        return len(kept) < KEPT_RATIOS or before is None or abs(median(kept) / before - 1) > 0.02

    def _ratio(self, turns: Sequence[ChatTurn], reported: int, tools: Sequence[ToolSpec]) -> tuple[str, float] | None:
        sizes: dict[str, int] = {}
        for text in map(turn_text, turns):
            of_text = kind_of(text)
            sizes[of_text] = sizes.get(of_text, 0) + estimate_tokens(text)
        offered = sum(tool_size(tool)[1] for tool in tools)
        factors = self.factors()
        kind = _learnt_kind(sizes, offered, known=TOOLS in factors)
        if kind is None:
            return None
        if offered:
            sizes[TOOLS] = offered
        # Text and tools share one ratio while the factor of the other is not known.
        shared = {one for one in sizes if one == kind or (TOOLS in (one, kind) and one not in factors)}
        counted = reported - ANSWER_TOKENS - TURN_TOKENS * len(turns) - TOOL_TOKENS * len(tools)
        counted_otherwise = sum(size * factors.get(one, 1.0) for one, size in sizes.items() if one not in shared)
        ratio = (counted - counted_otherwise) / sum(sizes[one] for one in shared)
        return (kind, ratio) if LEAST_RATIO <= ratio <= GREATEST_RATIO else None


def _learnt_kind(texts: Mapping[str, int], offered: int, *, known: bool) -> str | None:
    """The kind whose factor a request teaches: by the estimated tokens of its texts, by kind, and of its tools
    (`offered`), and whether the factor of tools is `known`. None: it teaches nothing.
    """
    said = sum(texts.values())
    total = said + offered
    if total < LEAST_TOKENS:
        return None
    if offered >= LEAST_SHARE * total:
        return TOOLS
    kind = max(texts, key=lambda one: texts[one])
    if texts[kind] < LEAST_SHARE * (said if offered else total):
        return None
    if not known and offered > said:
        return TOOLS
    return kind if texts[kind] >= MIXED_SHARE * total and texts[kind] >= LEAST_SHARE * LEAST_TOKENS else None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Counts for one model of one endpoint, for one answer. `factors` are by kind of text; without a `vocabulary`, the
    estimate times its factor counts.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    vocabulary: AnswerVocabulary | None = field(default=None, compare=False)

    def factor(self, text: str) -> float:
        """What the estimate of a text is multiplied with, and of others like it: a short text says too little by its
        own tokens. 1 for a kind of text without a factor.
        """
        kind = kind_of(text) if self.factors or self.vocabulary is not None else PLAIN
        if self.vocabulary is not None and (estimated := estimate_tokens(text)) >= LEAST_TOKENS:
            exact = self.vocabulary.tokens(text, kind)
            if exact is not None:
                return exact / estimated
        return self.factors.get(kind, 1.0)

    def text(self, text: str) -> int:
        """The tokens of a text."""
        if self.vocabulary is not None:
            exact = self.vocabulary.tokens(text, kind_of(text))
            if exact is not None:
                return exact
        return math.ceil(estimate_tokens(text) * (self.factors.get(kind_of(text), 1.0) if self.factors else 1.0))

    def turn(self, turn: ChatTurn) -> int:
        """The tokens of a turn, with its calls and images."""
        return TURN_TOKENS + self.text(turn_text(turn)) + image_tokens(turn.images)

    def tools(self, tools: Iterable[ToolSpec]) -> int:
        """The tokens that tools add to a request."""
        return sum(TOOL_TOKENS + self._tool(*tool_size(tool)) for tool in tools)

    def _tool(self, text: str, size: int) -> int:
        learnt = self.factors.get(TOOLS)  # counts more than the vocabulary: each server writes them in its own way
        if learnt:
            return math.ceil(size * learnt)
        if self.vocabulary is not None:
            return self.text(text)
        return math.ceil(size * self.factors.get(kind_of(text), 1.0)) if self.factors else size

    def turns(self, turns: Iterable[ChatTurn], tools: Iterable[ToolSpec] = ()) -> int:
        """The tokens of a request with these turns and tools."""
        return ANSWER_TOKENS + sum(map(self.turn, turns)) + self.tools(tools)

    def usage(
        self,
        turns: Iterable[ChatTurn],
        text: str,
        reasoning: str = "",
        *,
        tools: Iterable[ToolSpec] = (),
        calls: Sequence[RequestedCall] = (),
    ) -> TokenUsage:
        """The usage of an answer for which the endpoint reported none, perhaps because it was cut short. `tools` were
        offered with it; `calls` are part of it.
        """
        thought = self.text(reasoning)
        written = self.text(text) + thought + self.text(calls_text(calls))
        return TokenUsage(self.turns(turns, tools), written, reasoning_tokens=thought, estimated=True)

    def bill(
        self,
        reported: TokenUsage | None,
        turns: Sequence[ChatTurn],
        text: str,
        reasoning: str = "",
        *,
        tools: Iterable[ToolSpec] = (),
        calls: Sequence[RequestedCall] = (),
    ) -> TokenUsage:
        """The usage to bill: what the endpoint reported, unless that cannot be; else what is counted here."""
        if reported is None or reported.estimated:  # by the client, without the factor
            counted = self.usage(turns, text, reasoning, tools=tools, calls=calls)
            return counted if reported is None else replace(counted, implausible=reported.implausible)
        # Without the tools: a server whose prompt has no place for them leaves them out, and says nothing.
        # Nor the images: the smallest models read one with few tokens.
        words = [replace(turn, images=()) if turn.images else turn for turn in turns]
        counted = self.usage(words, text, reasoning, calls=calls)
        used = larger_usage(reported, counted, least_usage(turns, text, reasoning))
        if used.reasoning_tokens or not counted.reasoning_tokens:
            return used
        return replace(used, reasoning_tokens=min(counted.reasoning_tokens, used.output_tokens))


ESTIMATE: Final = TokenCount()

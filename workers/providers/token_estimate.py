"""Estimates the number of tokens of a text: to trim the context, and for usage that an endpoint does not report.

It uses no tokenizer, because every model has its own and their tables take megabytes. The rule follows what byte-pair
encodings do with text (OpenAI, "What are tokens and how to count them?": about 4 characters or three
quarters of a word in English), refined by kind of character. Each of these is one token:

- run of up to 6 ASCII letters, or up to 3 digits; the space before a word is part of it, longer runs count by 8
- run of up to 2 punctuation marks (operators and brackets merge), run of line breaks
- CJK character, kana or hangul syllable; run of up to 3 letters of another alphabet

An emoji or other symbol is two. English prose is estimated a little high, code and rare words within about a third, so
leave room below a hard limit. It takes one pass of a compiled pattern, about 20 ns per character.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from workers.providers.base import ChatTurn, RequestedCall, TokenUsage, ToolImage, ToolSpec

TURN_TOKENS: Final = 4  # what a chat template puts around each message (OpenAI Cookbook, "How to count tokens")
ANSWER_TOKENS: Final = 3  # and before the answer
TOOL_TOKENS: Final = 8  # around each tool
IMAGE_TOKENS: Final = (
    1000  # of an image of unknown size: about what OpenAI, Anthropic and Gemini count for a screenshot
)
IMAGE_PIXELS: Final = 750  # for each token of an image, as Anthropic counts; OpenAI and Gemini count fewer tokens
LEAST_IMAGE, GREATEST_IMAGE = 100, 4800  # tokens of an image
TAIL_CHARS: Final = 256  # how much of a growing text is counted again with each piece

KEPT_TOOLS: Final = 1_000
_tool_sizes: Final[dict[tuple[str, str, int], tuple[Mapping[str, Any], str, int]]] = {}

_LETTERS: Final = "\u00aa-\u10ff\u1200-\u1fff"
_CJK: Final = "\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_find_ascii_tokens: Final = re.compile(
    r"[A-Za-z]{1,6}|[0-9]{1,3}|[\n\r]+|[!-/:-@\[-`{-~]{1,2}|[\t ]{2,8}|[\x00-\x1f\x7f]"
).findall
_find_other_tokens: Final = re.compile(f"[{_LETTERS}]{{1,3}}|[{_CJK}]|([^\x00-\x7f{_LETTERS}{_CJK}])").findall


def estimate_tokens(text: str) -> int:
    """An estimate of the tokens of `text`; never more than its bytes in UTF-8."""
    tokens = len(_find_ascii_tokens(text))
    if text.isascii():
        return tokens
    others = _find_other_tokens(text)
    return tokens + len(others) + sum(map(bool, others))  # the group is set for characters that count twice


def calls_text(calls: Sequence[RequestedCall]) -> str:
    """Calls as a model reads and writes them: what counts as tokens."""
    return "\n".join(f'{{"name": "{call.name}", "arguments": {call.arguments}}}' for call in calls)


def turn_text(turn: ChatTurn) -> str:
    """The text of a turn, with its calls and with the reasoning that goes back with them."""
    if not turn.calls:
        return turn.content
    return "\n".join(part for part in (turn.content, _replayed_text(turn), calls_text(turn.calls)) if part)


def _replayed_text(turn: ChatTurn) -> str:
    """The reasoning as far as it can be read: what is encrypted counts at its endpoint, nobody knows for how much."""
    found: list[str] = []
    left = list(turn.replay.parts) if turn.replay is not None else []
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            found += [text for key in _REASONING if isinstance(text := part.get(key), str)]
            left += [value for value in part.values() if isinstance(value, list)]
    return "\n".join(reversed(found))


_REASONING: Final = ("thinking", "reasoning_content", "reasoning", "text", "summary")


def tools_text(tools: Iterable[ToolSpec]) -> str:
    """Tools as a model is told about them: what counts as tokens."""
    return "\n".join(f"{tool.name}: {tool.description} {json.dumps(tool.parameters, default=str)}" for tool in tools)


def tool_size(tool: ToolSpec) -> tuple[str, int]:
    """A tool as a model is told about it, and an estimate of the tokens of that.

    Kept for the last `KEPT_TOOLS`, because every answer asks again, and parameters are never changed in place.
    """
    key = (tool.name, tool.description, id(tool.parameters))
    known = _tool_sizes.get(key)
    if known is None:
        text = tools_text([tool])
        # With the parameters, so that nothing else gets their id.
        known = _tool_sizes[key] = (tool.parameters, text, estimate_tokens(text))
        while len(_tool_sizes) > KEPT_TOOLS:
            _tool_sizes.pop(next(iter(_tool_sizes)), None)
    return known[1:]


def estimate_tools(tools: Iterable[ToolSpec]) -> int:
    """An estimate of the tokens that tools add to a request."""
    return sum(TOOL_TOKENS + tool_size(tool)[1] for tool in tools)


def image_tokens(images: Sequence[ToolImage]) -> int:
    """An estimate of the tokens of images, by their sizes."""
    return sum(
        min(max(-(-one.width * one.height // IMAGE_PIXELS), LEAST_IMAGE), GREATEST_IMAGE) if one.width else IMAGE_TOKENS
        for one in images
    )


def estimate_turns(turns: Iterable[ChatTurn]) -> int:
    """An estimate of the tokens of a request with these turns."""
    sizes = (TURN_TOKENS + estimate_tokens(turn_text(turn)) + image_tokens(turn.images) for turn in turns)
    return ANSWER_TOKENS + sum(sizes)


def estimate_usage(
    turns: Iterable[ChatTurn],
    text: str,
    reasoning: str = "",
    *,
    tools: Sequence[ToolSpec] = (),
    calls: Sequence[RequestedCall] = (),
) -> TokenUsage:
    """The estimated usage of an answer for which the endpoint reported none, perhaps because it was cut short. `tools`
    were offered with it; `calls` are part of it.
    """
    thought = estimate_tokens(reasoning)
    return TokenUsage(
        input_tokens=estimate_turns(turns) + estimate_tools(tools),
        output_tokens=estimate_tokens(text) + thought + estimate_tokens(calls_text(calls)),
        reasoning_tokens=thought,
        estimated=True,
    )


# A reported count is the tokenizer's own, so it is more exact than ours, which may be a third too high, and in some
# languages more. Far below ours it is wrong, or a lie: then ours is used. Nearer to ours, it is still never below
# `least_tokens`, which is right for every tokenizer, and needs no factor that the endpoint's own reports have taught.
IMPLAUSIBLE_FACTOR: Final = 2
IMPLAUSIBLE_TOKENS: Final = 200
CJK_SHARE: Final = 0.4  # tokens of a Chinese or Japanese character, at least; 0.6 to 0.8 were measured
_NO_SPACES: Final = "\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_find_runs: Final = re.compile(rf"[^\s{_NO_SPACES}]+").findall
_has_letter: Final = re.compile(r"[^\W_]").search
_find_characters: Final = re.compile(f"[{_NO_SPACES}]").findall


def least_tokens(text: str) -> int:
    """The fewest tokens that `text` has: no tokenizer joins two words, and few join Chinese or Japanese characters."""
    found = sum(1 for run in _find_runs(text) if _has_letter(run))  # a line of a table may be one token
    return found if text.isascii() else found + int(CJK_SHARE * len(_find_characters(text)))


def larger_usage(reported: TokenUsage, counted: TokenUsage, least: TokenUsage) -> TokenUsage:
    """The usage to bill, the larger one: each count as reported, unless it cannot be right. Below `least` it is that;
    where it is implausibly small beside what is `counted` here, it is the count.
    """
    used = reported
    for name in ("input_tokens", "output_tokens"):
        said, ours = getattr(reported, name), getattr(counted, name)
        real = max(said, getattr(least, name), ours if _is_implausible(said, ours) else 0)
        if real > said:
            used = replace(used, **{name: real}, estimated=True)
    return used


def least_usage(turns: Iterable[ChatTurn], text: str, reasoning: str = "") -> TokenUsage:
    """The fewest tokens that a request with these turns and an answer of `text` have (`least_tokens`). Tools and calls
    are left out: each API writes them in its own way.
    """
    read = sum(least_tokens(turn.content) for turn in turns)
    return TokenUsage(read, least_tokens(text) + least_tokens(reasoning), estimated=True)


def _is_implausible(reported: int, counted: int) -> bool:
    return counted > IMPLAUSIBLE_FACTOR * reported + IMPLAUSIBLE_TOKENS


class TokenCounter:
    """Counts the tokens of a text that arrives in pieces, at the cost of each piece: the estimate of the whole, times
    `factor`.
    """

    __slots__ = ("_counted", "_tail", "factor")

    def __init__(self) -> None:
        self._counted = 0
        self._tail = ""
        self.factor = 1.0

    @property
    def tokens(self) -> int:
        return math.ceil((self._counted + estimate_tokens(self._tail)) * self.factor)

    def add(self, text: str) -> None:
        self._tail += text
        if len(self._tail) > TAIL_CHARS:
            cut = len(self._tail.rstrip()) - len(_last_word(self._tail))
            cut = len(self._tail[:cut].rstrip()) or len(self._tail)  # before white space, which is counted as one run
            self._counted += estimate_tokens(self._tail[:cut])
            self._tail = self._tail[cut:]


def _last_word(text: str) -> str:
    return text.rsplit(maxsplit=1)[-1] if text.strip() else ""


def prefix_of_tokens(text: str, tokens: int) -> str:
    """The longest beginning of `text` that has at most so many tokens, by the estimate."""
    if estimate_tokens(text) <= tokens:
        return text
    length = bisect_right(range(len(text) + 1), tokens, key=lambda end: estimate_tokens(text[:end])) - 1
    return text[: max(length, 0)]

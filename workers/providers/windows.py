"""The context window of a model: how many tokens it reads at once, and who says so. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from workers.providers.counting import ESTIMATE, TokenCount

Source = Literal["staff", "list", "refusal", ""]

SMALLEST: Final = 256  # tokens; a smaller number in a refusal is no window
LARGEST: Final = 1_000_000_000
REMEMBERED: Final = timedelta(days=30)  # then a learnt window is forgotten: the server may have been changed
SOURCES: Final[Mapping[str, str]] = {
    "staff": "set by staff", "list": "listed by the endpoint", "refusal": "learnt from a refusal", "": "not known",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """`tokens` is None when nobody knows. `at` is when it was learnt; None unless the source is a refusal."""

    tokens: int | None = None
    source: Source = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """What an answer needs to know of its model: the endpoint's name in the ledger, the window in tokens (None: not
    known) with its source, and how to count.
    """

    model: str
    endpoint: str = ""
    tokens: int | None = None
    source: Source = ""
    count: TokenCount = ESTIMATE


UNKNOWN: Final = Window()


@dataclass(frozen=True, slots=True)
class Overflow:
    """What a refusal of a prompt that is too long says: the window, and how many tokens the request really had.

    `with_answer`: the latter include the room that was asked for the answer.
    """

    window: int | None = None
    asked: int | None = None
    with_answer: bool = False


def resolve_window(
    staff: int | None, listed: int | None, learnt: int | None, learnt_at: datetime | None, now: datetime | None = None
) -> Window:
    """The window to go by: what staff set, else what a refusal named, else what the endpoint lists.

    A refusal counts more than the list, which may name what the model could do and not what its server was started
    with. A refusal that names more than the list does changes nothing.
    """
    if staff:
        return Window(staff, "staff")
    if learnt_at is not None and (now or datetime.now(UTC)) - learnt_at >= REMEMBERED:
        learnt = None
    if learnt is not None and (listed is None or learnt < listed):
        return Window(learnt, "refusal", learnt_at)
    return Window(listed, "list") if listed else UNKNOWN


_LONG_WORD: Final = re.compile(r"(\w{60})\w+")  # patterns take the square of a word's length
_ERROR_NUMBER: Final = re.compile(r"(invalid params, [^()]{0,200})\(\d{4}\)")  # MiniMax: "exceeds limit (2013)"
_CHARACTERS: Final = re.compile(r"(?:characters|bytes)(?: is| of|:)?\W{0,3}\d+|\d+ (?:characters|bytes)")
_N: Final = r"(\d[\d,_.]{0,20}\d|\d)"
# The window, as OpenAI, vLLM, SGLang, llama.cpp, Ollama, Anthropic, Gemini, Mistral, Groq, TGI, LM Studio, LiteLLM,
# Alibaba, Moonshot and Cohere word it.
_WINDOWS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"""["']?n_ctx["']?\W{{1,4}}{_N}""",
        rf"max\w* (?:context|model|input|prompt|seq(?:uence)?)[ _]?\w*(?: length)?(?: of| is|:|=)*\W{{0,4}}{_N}",
        rf"context[ _](?:length|size|window)[^\d]{{0,40}}{_N}",
        rf"(?:>|with|of) {_N} (?:tokens? )?maximum",
        rf"maximum (?:number of )?(?:input )?tokens(?: allowed)?\W{{0,4}}(?:is|of|allowed)?\W{{0,3}}{_N}",
        rf"exceeds? the (?:maximum|limit)[^\d]{{0,60}}{_N}",
        rf"must have less than {_N} tokens",
        rf"(?:<=|at most|up to|limit(?:ed)?(?: of| is| to)?|no more than)\W{{0,3}}{_N}(?: input)? tokens",
        rf"`?inputs`? tokens \+ `?max_new_tokens`? must be <= {_N}",
        rf"truncate to (?:only )?the (?:first|last) {_N} tokens",
        rf"\d \+ \d+ > {_N}",
        rf"length should be \[\d+, ?{_N}\]",
        rf"(?:token limit|model max length)(?: of| is|:)?\W{{0,3}}{_N}",
        rf"in the prompt cannot exceed {_N}",
        rf"limit {_N}, requested \d",
        rf"max_seq_len\W{{1,4}}{_N}",
        rf"tokens limit {_N}",
        rf"\d tokens, max(?:imum)? {_N}",
    )
)
_ASKED: Final = tuple(
    (re.compile(pattern, re.DOTALL), whole)
    for pattern, whole in (
        (rf"""["']?n_prompt_tokens["']?\W{{1,4}}{_N}""", 0),
        (rf"\({_N} (?:in (?:the |your )?(?:messages|prompt)|of text input)", 0),
        (rf"(?:messages|prompt|input|request|it)s? (?:has |have |contains? (?:at least )?|resulted in |is |\(){_N}", 0),
        (rf"(?:prompt|input)(?: is)? too long\W{{1,3}}{_N}", 0),
        (rf"(?:input )?token count(?: of| is)?\W{{0,3}}\(?{_N}", 0),
        (rf"(?:you )?requested (?:about )?{_N} tokens", 1),
        (rf"{_N} tokens? (?:in|from) (?:the|your) (?:input|prompt|messages)", 0),
        (rf"{_N} \+ \d+ > \d", 0),
        (rf"(?:prompt|input) \(length {_N}\)", 0),
        (rf"requested tokens? \({_N}\)", 0),
        (rf"(?:given:?|you sent|received) {_N}", 0),
        (rf"requested:? {_N}", 0),
        (rf"(?:keep the first|passed|prompt length) {_N}", 0),
        (rf"prompt_tokens \({_N}\)", 0),
    )
)


def read_overflow(said: str) -> Overflow:
    """The numbers in a server's words about a prompt that is too long, as far as they can be told apart."""
    words = _CHARACTERS.sub("", _ERROR_NUMBER.sub(r"\1", _LONG_WORD.sub(r"\1", said.lower())))
    window = _first(words, _WINDOWS)
    for pattern, whole in _ASKED:
        asked = _number(pattern.search(words))
        if asked is not None and asked != window:
            return Overflow(window, asked, bool(whole))
    return Overflow(window)


def _first(words: str, patterns: tuple[re.Pattern[str], ...]) -> int | None:
    return next((number for pattern in patterns if (number := _number(pattern.search(words))) is not None), None)


def _number(found: re.Match[str] | None) -> int | None:
    if found is None:
        return None
    digits = re.sub(r"\D", "", found[1])
    number = int(digits) if len(digits) <= 10 else 0
    return number if SMALLEST <= number <= LARGEST else None

"""What an endpoint's models have turned out not to accept, learnt from their refusals and remembered for a while."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cachetools import TTLCache

from workers.providers.http.error_fields import shorten_words
from workers.providers.model_facts import OPENING_TAG, ModelFacts
from workers.providers.thinking_tags import UNOPENED

LIMIT_SECONDS: Final = 3600.0  # then it is tried again: a server may have been updated
REMEMBERED: Final = 2000  # limits of one endpoint
AGAIN: Final = timedelta(hours=1)  # what is seen with every answer is noted so often

# Phrases around the largest answer that a model accepts, as OpenAI, vLLM, Anthropic, Groq, DeepSeek, Alibaba, TGI,
# Bedrock and pydantic word it.
_ROOM: Final = re.compile(r"(\d+)\s*>\s*(\d+)\s*-\s*(\d+)")
_ASKED: Final = re.compile(r"maximum context length is (\d+) tokens.{0,80}?\((\d+) in the messages", re.DOTALL)
_LIMIT: Final = re.compile(
    r"(?:at most|less than or equal to|no more than|up to|maximum (?:value |allowed )?(?:of|is|for \S{1,30} is)|<="
    r"|cannot exceed|limit(?: of| is)?|\[\d+ ?,|\d\s*>)\W{0,3}(\d+)"
)
_BELOW: Final = re.compile(r"(?:less than\W{1,3}(?=\d)|\bto (?=\d+ \(exclusive\)))(\d+)")
_LENGTHS: Final = ("max_new_tokens", "maximum tokens you requested")  # other names of it in refusals
_SUM: Final = re.compile(r"(\d+)\s*\+\s*(\d+)\s*>\s*(\d+)")  # prompt + answer > window, as Anthropic words it
NO_STREAM: Final = re.compile(
    r"stream(?:ing)?\W.{0,60}?(?:not (?:supported|allowed|available|enabled|implemented)|unsupported|disabled"
    r"|must be false)"
    r"|(?:not|n't|cannot|unsupported)\b.{0,40}?\bstream(?:ing|ed)?\b(?!_)|verified to stream",
    re.DOTALL,
)
_TOO_LARGE: Final = re.compile(
    r"too (?:large|high|big|many)|less than|at most|exceed|maximum|\d\s*>\s*\d|<=|range (?:of|is)|should be \["
)
_TOO_SMALL: Final = re.compile(r"at least|greater than|>=|below min|minimum|too (?:small|low|short)|positive")
_EFFORT: Final = re.compile(
    r"reasoning[_. ]?effort|think value|reasoning (?:is mandatory|cannot be disabled)"
    r"|(?:not support|unsupported).{0,40}(?:reasoning|thinking)"
    r"|(?:reasoning|thinking).{0,40}(?:not supported|unsupported)"
)
# Refusals of an unfinished assistant message at the end, as Anthropic, Mistral, vLLM and OpenAI word them.
PREFILL_REFUSED: Final = re.compile(
    r"prefill|prefix|continue_final_message|add_generation_prompt|end with a user|(?:last|final) (?:message|role|turn)"
    r"|assistant\W{1,3}message"
)
# A value is refused, and other values of the field may be accepted. As OpenAI, pydantic and vLLM word it.
_VALUE: Final = re.compile(
    r"unsupported[ _]value|supported values|does not support ['\"`]|must be one of|expected one of|input should be"
    r"|value \W{0,2}\w{1,20}\W{0,2} is not supported"
)
_FIELD: Final = re.compile(r"unsupported[ _]parameter|unrecognized|unknown|extra inputs|not permitted|deprecated")
_RANGE: Final = re.compile(
    r"between|range|at most|no more than|<=|greater than|less than|\[0|maximum|minimum|must be (?:in|within)"
    r"|positive|non-negative|at least|(?:below|above) \d|out of"
)
# LiteLLM, of GPT-5: "doesn't support temperature=0.4 while … Only temperature=1 is supported unless reasoning_effort …"
_WARMTH: Final = re.compile(r"(?:not|n't) support temperature|only temperature ?= ?\d")
_SYSTEM: Final = re.compile(
    r"system (?:role|message|prompt|instruction)s?|role\W{0,4}system|system\W{1,4}role|[`'\"]system[`'\"]"
    r"|developer instruction|roles must alternate|only user(?:,| and) assistant.{0,40}roles? are supported"
    r"|first message must (?:use|have|be)\b.{0,12}user"
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that a model does not accept: the name of a field, `system`, `stream`, `prefill`, or `answer_length`.

    `name:value` is one value of a field. `limit` is the longest answer in tokens that may be asked for. `once`: it
    depends on this request.
    """

    what: str
    limit: int | None = None
    once: bool = False


class Learned:
    """What is known about one endpoint, by model. Its name is the one that the usage ledger has.

    What models refuse is in `facts`, which the worker shares with others; how long an answer may be is only here.
    """

    def __init__(self, facts: ModelFacts | None = None, endpoint: str = "") -> None:
        self._facts = facts or ModelFacts()
        self._endpoint = endpoint
        self._limits: TTLCache[str, int] = TTLCache(REMEMBERED, LIMIT_SECONDS)

    def refuses(self, model: str, what: str) -> bool:
        return self._facts.refuses(self._endpoint, model, what)

    def limit(self, model: str) -> int | None:
        """The longest answer, in tokens, that the model accepts to be asked for; None: not known."""
        return self._limits.get(model)

    def unopened(self, model: str) -> str:
        """The tag that ends the model's thinking, if its answers begin inside of that; else empty."""
        return next((tag for tag in UNOPENED if self.refuses(model, OPENING_TAG + tag)), "")

    def note_unopened(self, model: str, closing: str) -> None:
        """An answer began inside of thinking, which this tag ended."""
        known = self._facts.of(self._endpoint, model)
        at = known.refused.get(OPENING_TAG + closing) if known else None
        if at is None or datetime.now(UTC) - at > AGAIN:  # not with each answer
            self._facts.note_refused(self._endpoint, model, OPENING_TAG + closing)

    def note_opened(self, model: str, closing: str) -> None:
        """An answer did not begin inside of thinking, though others did."""
        self._facts.note_accepted(self._endpoint, model, OPENING_TAG + closing)

    def add(self, model: str, lesson: Lesson) -> None:
        """Remembers a lesson, unless it is only about one request."""
        if lesson.once:
            return
        if lesson.limit is None:
            self._facts.note_refused(self._endpoint, model, lesson.what)
        else:
            self._limits[model] = lesson.limit


def name_effort(field: str, value: str, words: str) -> str:
    """The name of what is refused of an effort: the field for it, or this value alone."""
    refused = value == "none" or _VALUE.search(words)
    return f"{field}:{value}" if refused and not _FIELD.search(words) else field


def find_lesson(
    said: str,
    sent: Mapping[str, object],
    *,
    has_system: bool,
    length_fields: Sequence[str] = ("max_tokens", "max_completion_tokens"),
) -> Lesson | None:
    """What a refusal teaches. `said` is its whole text; `sent` are the fields of the request.

    Only fields that were sent are looked for. `has_system`: the request has a message with the role system.
    `length_fields` are the names that the longest answer may have.
    """
    words = shorten_words(said).lower()
    if "stream_options" in sent and ("stream_options" in words or "include_usage" in words):
        return Lesson("stream_options")
    if sent.get("stream") and NO_STREAM.search(words):
        return Lesson("stream")
    name = next((name for name in length_fields if name in sent), length_fields[0])
    asked = sent.get(name)
    if isinstance(asked, int):
        if (lesson := _learn_room(words, asked)) is not None:
            return lesson
        if any(one.lower() in words for one in (*length_fields, *_LENGTHS)):
            if _TOO_LARGE.search(words):
                return _learn_limit(words, asked)
            return Lesson(name, once=bool(_TOO_SMALL.search(words)) and not _FIELD.search(words))
    # Before the temperature: Anthropic's newer models say that both cannot be given.
    if ("top_p" in sent or "topP" in sent) and ("top_p" in words or "topp" in words):
        return Lesson("top_p", once=bool(_RANGE.search(words)) and not _FIELD.search(words))
    if "temperature" in sent and _WARMTH.search(words):
        return Lesson("temperature")
    if "reasoning_effort" in sent and _EFFORT.search(words):
        return Lesson(name_effort("reasoning_effort", str(sent["reasoning_effort"]), words))
    if "temperature" in sent and "temperature" in words:
        return Lesson("temperature", once=bool(_RANGE.search(words)) and not _FIELD.search(words))
    if has_system and _SYSTEM.search(words):
        return Lesson("system")
    return None


def _learn_room(words: str, asked: int) -> Lesson | None:
    """The refusal says how many tokens the prompt leaves for the answer."""
    if found := _ROOM.search(words):
        limit = int(found[2]) - int(found[3])
    elif found := _SUM.search(words):
        limit = int(found[3]) - int(found[1])
    elif found := _ASKED.search(words):
        limit = int(found[1]) - int(found[2])
    else:
        return None
    return Lesson("answer_length", limit, once=True) if 0 < limit < asked else None


def _learn_limit(words: str, asked: int) -> Lesson | None:
    """The answer that was asked for is too long; the refusal may say how long it may be."""
    if _ROOM.search(words) or _SUM.search(words) or _ASKED.search(words):
        return None  # it is the prompt that is too long
    if found := _LIMIT.search(words):
        limit = int(found[1])
    else:
        limit = int(found[1]) - 1 if (found := _BELOW.search(words)) else 0
    return Lesson("answer_length", limit if 0 < limit < asked else None)

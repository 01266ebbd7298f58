"""Reads an answer of the Gemini API, event by event.

Source: Gemini API reference, "GenerateContentResponse". Every event is such a response; the stream has no closing
event. A part with `thought` is reasoning. `candidatesTokenCount` does not include `thoughtsTokenCount`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.base import Chunk
from workers.providers.gemini.tools import replay_parts
from workers.providers.http.json_values import (
    garbage,
    load_event,
    read_number,
    read_object,
    read_objects,
    read_text,
)
from workers.providers.http.reader import AnswerReader

_NO_REASON: Final = "FINISH_REASON_UNSPECIFIED"
_NUMBERS: Final = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION"}  # of the reasons, as protobuf has them
_TOOLS: Final = frozenset({"functionCall", "executableCode", "toolCall"})


# Names as protobuf has them, which some gateways leave; the reference has them in camel case.
_SNAKES: Final = frozenset({"usage_metadata", "prompt_feedback", "model_version", "response_id"})


def _in_camel_case(value: Any, depth: int = 6) -> Any:
    """A response whose own names are in camel case; arguments of calls stay as they are."""
    if isinstance(value, list):
        return [_in_camel_case(one, depth) for one in value]
    if not isinstance(value, dict) or depth == 0:
        return value
    found: dict[str, Any] = {}
    for name, one in value.items():
        first, *others = name.split("_")
        found[first + "".join(map(str.capitalize, others))] = one if name == "args" else _in_camel_case(one, depth - 1)
    return found


class GeminiReader(AnswerReader):
    """Reads one answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._signature = ""  # of the text

    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        value = load_event(data, self.note_strange)
        if value is not None:
            self._take(chunks, value if _SNAKES.isdisjoint(value) else _in_camel_case(value))

    def _take(self, chunks: list[Chunk], value: dict[str, Any]) -> None:
        if "candidates" not in value and (inner := read_object(value.get("response"))):
            value = inner  # some gateways wrap it
        if value.get("error"):
            raise self.fail(value)
        self.note_model(value.get("modelVersion"))
        candidates = read_objects(value.get("candidates"))
        blocked = read_object(value.get("promptFeedback")).get("blockReason")
        if candidates:
            self._take_candidate(chunks, candidates[0])
        elif isinstance(blocked, str) and blocked:
            self.note_finish(chunks, "content_filter", output=False)
        elif "usageMetadata" not in value and "promptFeedback" not in value:
            self.note_strange("event", value)
        self._count(chunks, read_object(value.get("usageMetadata")))

    def _take_candidate(self, chunks: list[Chunk], candidate: dict[str, Any]) -> None:
        output = False
        content = candidate.get("content")
        parts = content if isinstance(content, list) else read_object(content).get("parts")
        for part in read_objects([parts] if isinstance(parts, dict) else parts):
            text, thought = part.get("text"), part.get("thought")
            if not text and isinstance(thought, str):
                text = "" if thought == "true" else thought
            if text and not isinstance(text, str):
                raise garbage("a part whose text is no text")
            if text:
                self.add(chunks, *((None, text) if thought and thought != "false" else (text, None)))
                output = True
            self._take_call(part)
            if not thought:  # else a draft
                chunks += self.images.take(read_object(part.get("inlineData") or part.get("inline_data")).get("data"))
        reason = candidate.get("finishReason")
        reason = _NUMBERS.get(reason, "OTHER") if isinstance(reason, int) and reason else reason
        if isinstance(reason, str) and reason != _NO_REASON:
            # Usage and the reason come in one event, and the stream ends with it: `output` is not held against it.
            self.note_finish(chunks, reason, output=output)

    def _take_call(self, part: dict[str, Any]) -> None:
        """A call comes whole. Its signature is of its part, and so is that of the text."""
        called, signature = part.get("functionCall"), read_text(part.get("thoughtSignature"))
        if isinstance(called, dict):
            self.add_call(None, called.get("id"), called.get("name"), called.get("args"), whole=True, extra=signature)
        elif any(name in part for name in _TOOLS):
            self.calls.called = True
        elif signature and part.get("thought") is not True:
            self._signature = signature

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        return replay_parts(self._signature, extras)

    def _count(self, chunks: list[Chunk], usage: dict[str, Any]) -> None:
        thought = read_number(usage.get("thoughtsTokenCount"))
        written = read_number(usage.get("candidatesTokenCount"))
        if not written and not thought:
            return  # the first events count only the prompt
        read = (read_number(usage.get("promptTokenCount")) or 0) + (
            read_number(usage.get("toolUsePromptTokenCount")) or 0
        )
        cached = read_number(usage.get("cachedContentTokenCount"))
        self.count(chunks, read, (written or 0) + (thought or 0), cached=cached, thought=thought)

"""Reads a message of Anthropic's API, event by event.

Source: Anthropic API reference, "Streaming messages". An event's type is also in its data; where a gateway leaves it
out, the field `event` of the stream has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from workers.providers.anthropic.tools import ReplayedBlocks
from workers.providers.base import Chunk
from workers.providers.http.json_values import garbage, load_event, read_number, read_object, read_objects, read_text
from workers.providers.http.reader import AnswerReader

# What says nothing that is needed here.
_SILENT: Final = frozenset({"ping", "content_block_stop"})
_UNUSED_DELTAS: Final = frozenset({"signature_delta", "citations_delta", "compaction_delta"})
_TOOLS: Final = frozenset({"tool_use"})
_THINKING: Final = frozenset({"thinking_delta", "reasoning_delta"})


class Delta(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    thinking: str = ""
    reasoning: str = ""  # of gateways
    partial_json: str = ""
    signature: str = ""


class ContentDelta(msgspec.Struct, gc=False):
    """The event of nearly every token, which is decoded without building the rest."""

    type: str
    delta: Delta
    index: int = 0


_decode_delta: Final = msgspec.json.Decoder(ContentDelta).decode


class MessageReader(AnswerReader):
    """Reads one message."""

    named: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._counts: dict[str, Any] = {}
        self._blocks = ReplayedBlocks()

    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        if b"content_block_delta" in data:
            try:
                event: ContentDelta | None = _decode_delta(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                event = None
            if event is not None and event.type == "content_block_delta":
                self._take_delta(chunks, event.index, event.delta)
                return
        value = load_event(data, self.note_strange)
        if value is not None:
            self._take(chunks, value)

    def _take(self, chunks: list[Chunk], value: dict[str, Any]) -> None:
        kind = read_text(value.get("type"))
        if kind == "content_block_delta":
            self.note_strange("field", value)
            delta = read_object(value.get("delta"))
            text = delta.get("text") or ""
            if not isinstance(text, str):
                raise garbage("a delta whose text is no text")
            names = ("thinking", "reasoning", "partial_json", "signature")
            others = (read_text(delta.get(name)) or "" for name in names)
            self._take_delta(chunks, read_number(value.get("index")) or 0, Delta(str(delta.get("type")), text, *others))
        elif kind == "message_start":
            self._take_message(chunks, read_object(value.get("message")))
        elif kind == "content_block_start":
            self._take_block(chunks, read_number(value.get("index")) or 0, read_object(value.get("content_block")))
        elif kind == "message_delta":
            self._counts |= _known_counts(value.get("usage"))
            self._end_message(chunks, read_object(value.get("delta")).get("stop_reason"))
        elif kind == "message_stop":
            self.done = True
        elif kind == "message":  # a body that was not streamed
            self._take_message(chunks, value)
            self._end_message(chunks, value.get("stop_reason"))
        elif kind == "error" or "error" in value:
            raise self.fail(value)
        elif kind not in _SILENT:
            self.note_strange("event", value)

    def _take_delta(self, chunks: list[Chunk], index: int, delta: Delta) -> None:
        kind = delta.type
        if kind in _THINKING and not delta.thinking:
            delta.thinking, delta.text = delta.reasoning or delta.text, ""
        if self.calls.open and (delta.thinking or delta.signature):
            self._blocks.grow(index, thinking=delta.thinking, signature=delta.signature)
        if delta.text or delta.thinking:
            self.add(chunks, delta.text, delta.thinking)
        elif kind == "input_json_delta":
            self.add_call(index, "", "", delta.partial_json)
        elif kind != "text_delta" and kind not in _THINKING | _UNUSED_DELTAS:
            self.note_strange("event", {"type": "content_block_delta", "delta": {"type": kind}})

    def _take_message(self, chunks: list[Chunk], message: dict[str, Any]) -> None:
        self.note_model(message.get("model"))
        self._counts |= _known_counts(message.get("usage"))
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for index, block in enumerate(read_objects(content)):
            self._take_block(chunks, index, block)

    def _take_block(self, chunks: list[Chunk], index: int, block: dict[str, Any]) -> None:
        if self.calls.open:
            self._blocks.start(index, block)
        if read_text(block.get("type")) in _TOOLS:
            self.add_call(index, block.get("id"), block.get("name"), block.get("input") or None)
        text, thinking = block.get("text"), block.get("thinking")
        if text or thinking:
            self.add(chunks, text if isinstance(text, str) else None, thinking if isinstance(thinking, str) else None)

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        return self._blocks.parts()

    def _end_message(self, chunks: list[Chunk], reason: object) -> None:
        if isinstance(reason, str) and reason:
            self.note_finish(chunks, reason, output=False)
            self._count(chunks)

    def _count(self, chunks: list[Chunk]) -> None:
        """The input is what was read anew, from the cache, and into the cache."""
        counts = self._counts
        cached = counts.get("cache_read_input_tokens")
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        parts = [counts.get(name) or 0 for name in names]
        read = min(parts) if min(parts) < 0 else sum(parts)  # a negative part makes the whole implausible
        self.count(chunks, read, counts.get("output_tokens"), cached=cached, thought=counts.get("thinking_tokens"))


def _known_counts(usage: object) -> dict[str, int]:
    """The counts in a usage. A later one may leave some out."""
    found = {name: read_number(value) for name, value in read_object(usage).items()}
    found["thinking_tokens"] = read_number(
        read_object(read_object(usage).get("output_tokens_details")).get("thinking_tokens")
    )
    return {name: value for name, value in found.items() if value is not None}

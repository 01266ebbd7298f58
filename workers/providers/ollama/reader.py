"""Reads an answer of Ollama's chat API, line by line.

Source: Ollama's docs/api.md, "Generate a chat completion". The last line has `done`, the reason and the counts. A model
that was only loaded (`done_reason` load) has not answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from workers.providers.base import Chunk
from workers.providers.http.json_values import (
    garbage,
    load_event,
    read_number,
    read_object,
    read_objects,
    read_thought,
)
from workers.providers.http.reader import AnswerReader

_THINKING: Final = ("thinking", "reasoning", "reasoning_content")


class Message(msgspec.Struct, gc=False):
    content: str
    thinking: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class Line(msgspec.Struct, gc=False):
    """A line with a piece of text, which is decoded without building the rest."""

    message: Message
    model: str = ""
    done: bool = False


_decode_line: Final = msgspec.json.Decoder(Line).decode


class ChatReader(AnswerReader):
    """Reads one answer."""

    json_lines: ClassVar[bool] = True
    reads_text_calls: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._thought: list[str] = []

    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        try:
            line: Line | None = _decode_line(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            line = None
        if line is not None and not line.done:
            self.note_model(line.model)
            said = line.message
            thinking = said.thinking or said.reasoning or said.reasoning_content
            self._take_message(chunks, said.content, thinking, said.tool_calls)
            return
        value = load_event(data, self.note_strange)
        if value is None:
            return
        if value.get("error"):
            raise self.fail(value)
        if not any(name in value for name in ("message", "done", "response")):
            self.note_strange("event", value)
            return
        self._take(chunks, value)

    def _take(self, chunks: list[Chunk], value: dict[str, Any]) -> None:
        self.note_model(value.get("model"))
        message = read_object(value.get("message"))
        text = message.get("content") or value.get("response") or ""  # of its other API, from what only passes for it
        said = (one.get(name) for one in (message, value) for name in _THINKING)
        thinking = next((thought for one in said if (thought := read_thought(one))), None)
        if not isinstance(text, str):
            raise garbage("a message whose text is no text")
        self._take_message(chunks, text, thinking, message.get("tool_calls"))
        if value.get("done"):
            reason = value.get("done_reason")
            if reason != "load":  # else it has not answered
                self.note_finish(chunks, reason if isinstance(reason, str) and reason else "stop", output=False)
            self.count(chunks, read_number(value.get("prompt_eval_count")), read_number(value.get("eval_count")))
            self.done = True

    def _take_message(self, chunks: list[Chunk], text: str, thinking: str | None, calls: object) -> None:
        if text or thinking:
            self.add(chunks, text, thinking)
            if thinking and self.calls.open:
                self._thought.append(thinking)
        if calls:
            self.calls.called = True
        for call in read_objects(calls):
            called = read_object(call.get("function")) or call
            self.add_call(None, call.get("id"), called.get("name"), called.get("arguments"), whole=True)

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        return [{"thinking": "".join(self._thought)}] if self._thought else []

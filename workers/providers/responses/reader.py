"""Reads an answer of the Responses API, event by event.

Source: OpenAI API reference, "Streaming events". The text comes as deltas; the last event has the whole response, from
which only the usage and the end are taken. Of reasoning, a summary is sent (`response.reasoning_summary_text.delta`),
and by open models its text (`response.reasoning_text.delta`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from workers.providers.base import Chunk, ProviderError
from workers.providers.http.json_values import garbage, load_event, read_number, read_object, read_objects, read_text
from workers.providers.http.reader import CUT, AnswerReader
from workers.providers.responses.tools import ReplayedItems

_TEXT: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
# Of its text or a summary, as OpenAI, OpenRouter and others name it: `response.reasoning_summary_text.delta`.
_REASONING: Final = "response.reasoning"
_ENDS: Final = frozenset(
    {"response.completed", "response.done", "response.incomplete", "response.failed", "response.cancelled"}
)
_SUMMARY_PART: Final = "response.reasoning_summary_part.added"
_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call", "computer_call", "local_shell_call"})
# What says nothing that is needed here; a new one is counted and logged once.
_SILENT: Final = (
    "response.created", "response.in_progress", "response.queued", "response.output_item.", "response.content_part.",
    "response.output_text.", "response.refusal.", "response.reasoning_summary_", "response.reasoning_text.",
    "response.function_call_arguments.", "response.custom_tool_call_input.", "response.mcp_",
    "response.web_search_call.", "response.file_search_call.", "response.code_interpreter_call", "keepalive",
    "response.image_generation_call.",
)  # fmt: skip
_REASONS: Final = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}


class DeltaEvent(msgspec.Struct, gc=False):
    """The event of nearly every token, which is decoded without building the rest."""

    type: str
    delta: str


_decode_delta: Final = msgspec.json.Decoder(DeltaEvent).decode


class ResponseReader(AnswerReader):
    """Reads one response."""

    named: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._items = ReplayedItems()
        self._streamed = False  # text has come in pieces
        self._thinks = ""  # where the first reasoning has come from; what repeats it counts no more
        self._messages: list[dict[str, Any]] = []  # that came as a whole
        self._texts: list[dict[str, Any]] = []  # likewise

    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        if b".delta" in data:
            try:
                event: DeltaEvent | None = _decode_delta(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                event = None
            if event is not None and self._take_delta(chunks, event.type, event.delta):
                return
        value = load_event(data, self.note_strange)
        if value is not None:
            self._take(chunks, value)

    def _take(self, chunks: list[Chunk], value: dict[str, Any]) -> None:
        kind, delta = str(value.get("type")), value.get("delta")
        if kind in _TEXT or (kind.startswith(_REASONING) and kind.endswith(".delta")):
            if isinstance(delta, dict):
                delta = delta.get("text") or delta.get("content")
            if delta and not isinstance(delta, str):
                raise garbage("a delta that is no text")
            self._take_delta(chunks, kind, delta or "")
        elif kind in _ENDS:
            response = read_object(value.get("response"))
            if kind == "response.done":
                kind = f"response.{response.get('status') or 'completed'}"
            self._end_response(chunks, kind, response)
        elif kind.startswith(_REASONING) and kind.endswith("_text.done"):
            self._think(chunks, "texts", value.get("text"))
        elif kind == "response.output_text.done":
            self._texts.append({"content": [value]})
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = read_object(value.get("item"))
            self._take_item(chunks, value.get("output_index"), item, whole=kind.endswith("done"))
        elif kind == "response.function_call_arguments.delta":
            self.add_call(value.get("output_index"), "", "", delta)
        elif kind == "response.created":
            self.note_model(read_object(value.get("response")).get("model"))
        elif kind == _SUMMARY_PART and self.reasoning:
            self.add(chunks, None, "\n\n")
        elif kind == "error" or (value.get("error") and "type" not in value):
            raise self.fail(value if value.get("error") else {"error": value})
        elif value.get("object") == "response" or isinstance(value.get("output"), list):  # a body that was not streamed
            self._take_response(chunks, value)
        elif not kind.startswith(_SILENT):
            self.note_strange("event", value)

    def _take_delta(self, chunks: list[Chunk], kind: str, delta: str) -> bool:
        if kind in _TEXT:
            self._streamed = True
            self.add(chunks, delta)
        elif kind.startswith(_REASONING):
            self._think(chunks, "pieces", delta)
        else:
            return False
        return True

    def _think(self, chunks: list[Chunk], source: str, text: object) -> None:
        """Reasoning from one of its sources: pieces, whole texts, or items. Only the first source counts."""
        self._thinks = self._thinks or source
        if self._thinks == source and isinstance(text, str) and text:
            self.add(chunks, None, text)

    def _take_item(self, chunks: list[Chunk], index: object, item: dict[str, Any], *, whole: bool) -> None:
        """An item of the output begins, or is `whole`. A call comes twice: the whole one counts."""
        kind = read_text(item.get("type"))
        if kind in _CALLS:
            self.calls.called = True
        if kind == "message" and whole:
            self._messages.append(item)
        if kind == "reasoning" and whole:
            for text in _texts_of(item):
                self._think(chunks, "items", text)
        if kind == "image_generation_call" and whole:
            chunks += self.images.take(item.get("result"))
        if kind == "function_call":
            call_id, name = item.get("call_id") or item.get("id"), item.get("name")
            if whole:
                self.settle_call(index, call_id, name, item.get("arguments"))
            else:
                self.add_call(index, call_id, name, item.get("arguments") or None)
        if whole and self.calls.open:
            self._items.add(read_number(index) or 0, item)

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        return self._items.parts()

    def _take_response(self, chunks: list[Chunk], response: dict[str, Any]) -> None:
        for place, item in enumerate(read_objects(response.get("output"))):
            self._take_item(chunks, place, item, whole=True)
        if isinstance(text := response.get("output_text"), str):
            self._texts.append({"content": [{"text": text}]})
        self._end_response(chunks, f"response.{response.get('status') or 'completed'}", response)

    def _add_whole(self, chunks: list[Chunk], response: dict[str, Any]) -> None:
        """The text, where it did not come in pieces: from the last event, or from those before it."""
        said = [item for item in read_objects(response.get("output")) if item.get("type") == "message"]
        for item in said or self._messages or self._texts:
            for text in _texts_of(item):
                self.add(chunks, text)

    def _end_response(self, chunks: list[Chunk], kind: str, response: dict[str, Any]) -> None:
        self.note_model(response.get("model"))
        for item in read_objects(response.get("output")) if not self._thinks else ():
            if item.get("type") == "reasoning":
                self._take_item(chunks, None, item, whole=True)
        if not self._streamed:
            self._add_whole(chunks, response)
        usage = read_object(response.get("usage"))
        read, written = read_object(usage.get("input_tokens_details")), read_object(usage.get("output_tokens_details"))
        self.count(
            chunks,
            read_number(usage.get("input_tokens", usage.get("prompt_tokens"))),
            read_number(usage.get("output_tokens", usage.get("completion_tokens"))),
            cached=read_number(read.get("cached_tokens")),
            thought=read_number(written.get("reasoning_tokens")),
        )
        self.done = True
        if kind in ("response.failed", "response.cancelled"):
            raise self.fail({"error": response.get("error") or {"code": "server_error", "message": kind}})
        why = read_object(response.get("incomplete_details")).get("reason")
        if kind == "response.incomplete" and not why:
            raise ProviderError("upstream_cut", CUT, retryable=not self.has_output)
        reason = _REASONS.get(str(why), str(why)) if kind == "response.incomplete" else "stop"
        called = self.called_tools and not self.text and not (self.calls.open and reason != "stop")
        if self.calls.open and not self.calls:  # a server that sends no events about its calls
            for place, item in enumerate(read_objects(response.get("output"))):
                self._take_item(chunks, place, item, whole=True)
        self.note_finish(chunks, "tool_calls" if called else reason, output=False)


def _texts_of(item: dict[str, Any]) -> list[str]:
    """The texts of an item that came as a whole: a text, or parts."""
    found: list[str] = []
    for said in (item.get("summary"), item.get("content")):
        parts = [{"text": said}] if isinstance(said, str) else read_objects(said)
        found += [text for part in parts if isinstance(text := part.get("text") or part.get("refusal"), str) and text]
    return found

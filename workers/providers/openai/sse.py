"""Parses the bytes of a chat completion into chunks. Pure: no I/O, no Django, no vendor package.

Server-sent events are split as in the HTML standard (§9.2.6, event stream interpretation) and decoded into typed
structs that skip every unused field. The vendor package's stream builds models field by field, which costs several
times as much for each chunk. Format: OpenAI API reference, "The chat completion chunk object";
`reasoning_content` is DeepSeek's and vLLM's, `reasoning` OpenRouter's and Ollama's, content in parts Mistral's.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from workers.providers.base import Chunk, ProviderError, TokenUsage
from workers.providers.openai.errors import NOT_SET_UP, error_from_answer

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
GARBAGE: Final = "The model's server sent an unexpected response."
CUT: Final = "The connection to the model was lost in the middle of the answer."


class _Part(msgspec.Struct, gc=False):
    type: str = "text"
    text: str | None = None
    thinking: list[_Part] | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None  # in a body that was not streamed
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None
    message: Any = None  # of an error without an outer "error"
    code: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATE_AT_END: Final = re.compile("[\ud800-\udbff]$")


class EventSplitter:
    """Splits bytes into the data of server-sent events. A chunk of bytes may end anywhere, even inside a character."""

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now. Raises `ProviderError` when one grows over `MAX_EVENT_BYTES`."""
        if self._tail:
            data = self._tail + data
        held = b""
        if b"\r" in data:  # a line may end with CR LF, LF or CR; the LF of a last CR may still come
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        tail = lines.pop()
        self._tail = tail + held
        events = self._take(lines)
        if len(tail) + self._size > MAX_EVENT_BYTES:
            raise ProviderError("upstream_garbage", GARBAGE, detail="an event without end")
        return events

    def _take(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._size += len(value)
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
                self._size = 0
            # Comments (keep-alives), `event`, `id` and `retry` are not used.
        return events

    def end(self) -> list[bytes]:
        """The incomplete event at the end of the bytes. The standard drops it; some servers omit the last line."""
        lines = [self._tail.rstrip(b"\r"), b""]
        self._tail = b""
        return self._take(lines)


class AnswerReader:
    """Reads one answer: server-sent events, or one JSON body from a server that does not stream."""

    def __init__(self, *, secrets: tuple[str, ...] = ()) -> None:
        self.done = False  # [DONE] has arrived
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self.failure: ProviderError | None = None  # to be raised after the chunks before it
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self._secrets = secrets
        self._splitter = EventSplitter()
        self._started = False
        self._body: bytearray | None = None
        self._half = ""  # a high surrogate, waiting for its low surrogate

    @property
    def has_output(self) -> bool:
        """Whether any text or reasoning has arrived."""
        return bool(self.text or self.reasoning)

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete, perhaps none. Sets `failure` when the answer fails after them."""
        chunks: list[Chunk] = []
        try:
            self._feed(chunks, data)
        except ProviderError as error:
            self._fail(error)
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunks, at the end of the bytes. Sets `failure` when the answer is incomplete."""
        chunks: list[Chunk] = []
        try:
            self._end(chunks)
        except ProviderError as error:
            self._fail(error)
        return chunks

    def _fail(self, error: ProviderError) -> None:
        self.failure = error.with_traceback(None)  # its frames hold the answer, or a key that the server echoed

    def _feed(self, chunks: list[Chunk], data: bytes) -> None:
        if not self._started:
            data = self._start(data)
        if self._body is None:
            self._read(chunks, self._splitter.feed(data))
            return
        self._body += data
        if len(self._body) > MAX_EVENT_BYTES:
            raise ProviderError("upstream_garbage", GARBAGE, detail="a body without end")

    def _end(self, chunks: list[Chunk]) -> None:
        if self._body is not None:
            self._read(chunks, [bytes(self._body)])
            self.finish_reason = self.finish_reason or "stop"
        else:
            try:
                self._read(chunks, self._splitter.end())
            except ProviderError as error:
                if error.code != "upstream_garbage":  # that is an incomplete event
                    raise
        if not self.done and self.finish_reason is None:
            raise ProviderError("upstream_cut", CUT, retryable=not self.has_output)
        if self._half:
            self._half = ""
            chunks.append(Chunk("\ufffd"))

    def _start(self, data: bytes) -> bytes:
        """Distinguishes a JSON body from events by the first character, because content types are not reliable."""
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            return b""
        self._started = True
        if start.startswith(b"{"):
            self._body = bytearray()
        elif start.startswith(b"<"):
            raise ProviderError(
                "upstream_garbage",
                NOT_SET_UP,
                detail="a body that begins with <",
            )
        return start

    def _read(self, chunks: list[Chunk], events: list[bytes]) -> None:
        for data in events:
            if data == b"[DONE]":
                self.done = True
                break
            self._take(chunks, self._decode(data))

    def _take(self, chunks: list[Chunk], event: _Event) -> None:
        if event.choices:
            choice = event.choices[0]
            delta = choice.delta or choice.message
            if delta is not None:
                content = delta.content or delta.refusal
                reasoning = delta.reasoning_content or delta.reasoning
                if content or reasoning:
                    self._add(chunks, content, reasoning)
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
                chunks.append(Chunk(finish_reason=choice.finish_reason))
        if event.usage is not None:
            self._count(chunks, event.usage)
        if event.error or event.object == "error":
            body = {"error": event.error} if event.error else {"message": event.message, "code": event.code}
            raise error_from_answer(None, body, secrets=self._secrets)

    def _add(self, chunks: list[Chunk], content: str | list[_Part] | None, reasoning: str | None) -> None:
        if isinstance(content, list):
            thoughts = "".join(part.text or "" for parts in content for part in parts.thinking or ())
            reasoning = (reasoning or "") + thoughts
            content = "".join(part.text or "" for part in content)
        text = self._clean(content) if content else ""
        thought = _mend(reasoning) if reasoning else ""
        if text:
            self.text.append(text)
        if thought:
            self.reasoning.append(thought)
        if text or thought:
            chunks.append(Chunk(text, thought))

    def _clean(self, text: str) -> str:
        """`text` without NUL and lone surrogates, which no database or socket accepts. Surrogate pairs are joined."""
        if self._half:
            text = self._half + text
            self._half = ""
        if text.isascii():
            return text.replace("\x00", "\ufffd") if "\x00" in text else text
        if _HIGH_SURROGATE_AT_END.search(text):
            text, self._half = text[:-1], text[-1]
        return _mend(text)

    def _count(self, chunks: list[Chunk], usage: _Usage) -> None:
        if not (usage.prompt_tokens or usage.completion_tokens):
            return  # zeros in the middle of an answer are not a count
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
        thought = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
        self.usage = TokenUsage(
            input_tokens=usage.prompt_tokens or 0,
            output_tokens=usage.completion_tokens or 0,
            cached_tokens=cached or usage.prompt_cache_hit_tokens or 0,
            reasoning_tokens=thought or 0,
        )
        chunks.append(Chunk(usage=self.usage))

    def _decode(self, data: bytes) -> _Event:
        try:
            return _decode_event(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:  # bytes that are not UTF-8, and escaped lone surrogates such as \ud83d: the rest of the text is usable
            return msgspec.convert(json.loads(data.decode(errors="replace")), _Event)
        except (ValueError, RecursionError, msgspec.ValidationError):
            pass
        raise ProviderError("upstream_garbage", GARBAGE, detail=f"{len(data)} bytes that are not a chunk")


def _mend(text: str) -> str:
    """`text` with pairs of surrogates joined, and lone ones and NULs replaced by U+FFFD."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd")

"""Reads one answer from its bytes: text, reasoning, usage, and how it ended. Pure: no I/O, no vendor package.

A dialect's reader says what one event means (`read_event`); the rest is the same for all.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

from accounts.lib.texts import gettext_noop
from workers.providers.base import Chunk, ProviderError, TokenUsage, ToolSpec
from workers.providers.http.answer_calls import FILTERED, LENGTH_REASONS, AnswerCalls
from workers.providers.http.error_fields import is_error
from workers.providers.http.error_kinds import NOT_SET_UP
from workers.providers.http.errors import error_from_answer
from workers.providers.http.json_values import Report, garbage, mend, read_number, read_object, read_text, split_body
from workers.providers.http.made_images import MadeImages
from workers.providers.http.sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES, EventSplitter, LineSplitter, is_body
from workers.providers.thinking_tags import ThinkingTags

DONE: Final = frozenset({b"[DONE]", b"[done]", b'"[DONE]"'})  # the last event of many servers, in any dialect
REASON_CHARS: Final = 100
CUT: Final = gettext_noop("The connection to the model was lost in the middle of the answer.")
MAX_TOKENS: Final = 100_000_000  # more in one answer is not plausible; no context window has a tenth of it
MODEL_CHARS: Final = 200

_HIGH_SURROGATE_AT_END: Final = re.compile("[\ud800-\udbff]$")


def _ignore(_kind: str, _found: object) -> None: ...


class AnswerReader(ABC):
    """Reads one answer: server-sent events (or lines of JSON), or one JSON body from a server that does not stream."""

    json_lines: ClassVar[bool] = False  # events are lines of JSON
    reads_text_calls: ClassVar[bool] = False  # servers of this API may leave calls in the text
    named: ClassVar[bool] = False  # an event's name says what its data is, where that does not

    def __init__(self, *, secrets: tuple[str, ...] = (), report: Report = _ignore) -> None:
        self.done = False  # the event that closes the stream has arrived
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self.failure: ProviderError | None = None  # to be raised after the chunks before it
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls = AnswerCalls()
        self.images = MadeImages()
        self.model = ""  # who answers, as the endpoint says
        self.began = False  # anything but blanks has arrived
        self.settled = False  # a finish reason came once, alone and after the output: only the usage is missing
        self._contradicted = False  # output came after a finish reason, so that reason was not the end
        self._secrets = secrets
        self._report = report
        self._events = 0  # that were read
        self._splitter: EventSplitter | LineSplitter = (
            LineSplitter() if self.json_lines else EventSplitter(named=self.named)
        )
        self.tags = ThinkingTags()
        self._head = b""
        self._marked = False  # the place of a byte order mark has been passed
        self._body: bytearray | None = None
        self._half = ""  # a high surrogate, waiting for its low surrogate
        self._strange = 0  # events that were not understood

    def expect(self, kind: str, model: str, tools: Mapping[str, ToolSpec], *, may_call: bool) -> None:
        """What was asked for (`AnswerCalls`), before anything is read."""
        self.calls = AnswerCalls(kind, model, tools, may_call=may_call, in_text=self.reads_text_calls)

    @property
    def ended(self) -> bool:
        """Whether a finish reason has said so, and nothing since has contradicted it."""
        return self.finish_reason is not None and not self._contradicted

    @property
    def called_tools(self) -> bool:  # offered or not
        return self.calls.called

    @property
    def has_output(self) -> bool:  # text, reasoning or images
        return bool(self.text or self.reasoning or self.images.found)

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
        if not self.began and not (data := self._begin(data)):
            return
        if self._body is None:
            self._read(chunks, self._splitter.feed(data))
        elif len(self._body) + len(data) > MAX_EVENT_BYTES:
            raise garbage("a body without end")
        else:
            self._body += data

    def _begin(self, data: bytes) -> bytes:
        """Distinguishes a JSON body from events by the first character, because content types are not reliable.

        Returns the bytes from there on; none while they have not arrived.
        """
        self._head += data
        if not self._marked:
            if self._head != BYTE_ORDER_MARK and BYTE_ORDER_MARK.startswith(self._head):
                return b""
            self._head = self._head.removeprefix(BYTE_ORDER_MARK)
            self._marked = True
        start, self._head = self._head.lstrip(), b""
        if not start:
            return b""
        if self.json_lines and (start.strip(b" \t\r") == b"{" or b"data:".startswith(start)):
            self._head = start  # a line break may follow, or the rest of a field
            return b""
        self.began = True
        if self.json_lines and start.startswith(b"data:"):
            self._splitter = EventSplitter()
        elif is_body(start, json_lines=self.json_lines):
            self._body = bytearray()
        elif start.startswith(b"<"):
            raise ProviderError("upstream_garbage", NOT_SET_UP, detail="a body that begins with <")
        return start

    def _end(self, chunks: list[Chunk]) -> None:
        if self._body is not None:
            self.read_body(chunks, bytes(self._body))
            self.finish_reason = self.finish_reason or ("stop" if self.has_output or self.calls else None)
        else:
            try:
                self._read(chunks, self._splitter.end())
            except ProviderError as error:
                if error.code != "upstream_garbage":  # that is an incomplete event
                    raise
        if self._half:
            self._half = ""
            self._note(chunks, self.tags.feed("\ufffd"))
        self._note(chunks, self.tags.end())
        if self.tags.unclosed and not self.text and (self.finish_reason or "length").lower() not in LENGTH_REASONS:
            # The model forgot the closing tag: what it wrote is the only answer there is.
            self._note(chunks, [Chunk(self.tags.unclosed)])
        self._end_text(chunks)
        if self.finish_reason is None and not self.has_output and self._strange:
            raise garbage("nothing but unknown events")
        if self._splitter.unknown and not self._events:
            raise ProviderError("upstream_garbage", NOT_SET_UP, detail="a body that is no event stream")
        if self.finish_reason is None and self.began and (self.has_output or self.calls or not self.done):
            # Also after [DONE]: proxies send it when they lose their server.
            raise ProviderError("upstream_cut", CUT, retryable=not self.has_output)

    def _read(self, chunks: list[Chunk], events: list[bytes]) -> None:
        for data in events:
            self._events += 1
            if len(data) < 12 and data.strip() in DONE:
                self.done = True
                break
            self.read_event(chunks, data)
            if self.done:
                break

    @abstractmethod
    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        """Adds the chunks of one event. Raises `ProviderError` for an error, and for text of an unknown form."""

    def read_body(self, chunks: list[Chunk], body: bytes) -> None:
        """Adds the chunks of an answer that was not sent as a stream; raises like `read_event`."""
        self._read(chunks, split_body(body))

    def conclude(self, chunks: list[Chunk]) -> ProviderError | None:
        """Adds the calls of a complete answer, and what its model wants back with them. Returns why they are none."""
        self._end_text(chunks)
        try:
            last = self.calls.take(self.finish_reason, self.replay_parts, self._report)
        except ProviderError as error:
            return error.with_traceback(None)
        if last is not None and (last.calls or self.text):
            self.finish_reason = last.finish_reason or self.finish_reason
            chunks.append(last)
        return None

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        """What the model wants back with the results of its calls. `extras` belong to calls, by their ids."""
        return []

    def _end_text(self, chunks: list[Chunk]) -> None:
        if text := self.calls.end_text():
            self.text.append(text)
            chunks.append(Chunk(text))

    def note_strange(self, kind: str, found: object) -> None:
        """Something unexpected has arrived. Raises `ProviderError` for an event that says what went wrong."""
        if kind == "event" and (event := read_object(found)) and is_error(event):
            raise self.fail(event)
        if kind != "field":
            self._strange += 1
        self._report(kind, found)

    # --- for the dialects' readers ------------------------------------------------------------------------------
    def fail(self, body: object) -> ProviderError:
        """The error that an event of the stream reports."""
        return error_from_answer(None, body, secrets=self._secrets)

    def note_model(self, name: object) -> None:
        """Remembers who answers."""
        if not self.model and isinstance(name, str):
            self.model = mend(name)[:MODEL_CHARS]

    def note_finish(self, chunks: list[Chunk], reason: str, *, output: bool) -> None:
        """A finish reason has arrived, as `content_filter: OTHER` perhaps. `output`: its event had output, too."""
        if reason.lower() in ("null", "none"):
            return
        # Some servers send a finish reason with every chunk: only the first one, after the text, is the end.
        self.settled = self.finish_reason is None and bool(self.has_output or self.calls) and not output
        reason = reason.removeprefix("FINISH_REASON_")  # of enumerations that some gateways write out
        kind = reason.partition(":")[0]
        reason = self.calls.rename(kind if kind.lower() in FILTERED else reason[:REASON_CHARS])
        if reason != self.finish_reason:
            self.finish_reason = reason
            chunks.append(Chunk(finish_reason=reason))

    def add(self, chunks: list[Chunk], content: str | None, reasoning: str | None = None) -> None:
        """Text or reasoning has arrived."""
        self.settled, self._contradicted = False, self._contradicted or self.finish_reason is not None
        if reasoning:
            self.tags.note_separate()
            self._note(chunks, [Chunk(reasoning=mend(reasoning))])
        if content and (text := self._clean(content)):
            self._note(chunks, self.tags.feed(text))

    def add_call(self, index: object, call_id: object, name: object, arguments: object, **more: Any) -> None:
        """A call, or a piece of one, has arrived (`CallCollector.add`)."""
        self.settled, self._contradicted = False, self._contradicted or self.finish_reason is not None
        self.calls.add(read_number(index), read_text(call_id) or "", read_text(name) or "", arguments, **more)

    def settle_call(self, index: object, call_id: object, name: object, arguments: object) -> None:
        """A call is given as a whole, perhaps once more (`CallCollector.settle`)."""
        if self.calls.open:
            self.calls.collector.settle(read_number(index), read_text(call_id) or "", read_text(name) or "", arguments)

    def _note(self, chunks: list[Chunk], found: list[Chunk]) -> None:
        found = self.calls.filter(found)
        for chunk in found:
            (self.text if chunk.text else self.reasoning).append(chunk.text or chunk.reasoning)
        chunks += found

    def _clean(self, text: str) -> str:
        """`text` without NUL and lone surrogates, which no database or socket accepts. Surrogate pairs are joined."""
        text, self._half = self._half + text, ""
        if text.isascii():
            return text.replace("\x00", "\ufffd") if "\x00" in text else text
        if _HIGH_SURROGATE_AT_END.search(text):
            text, self._half = text[:-1], text[-1]
        return mend(text)

    def count(
        self, chunks: list[Chunk], read: int | None, written: int | None, *, cached: int | None = None,
        thought: int | None = None, cost: Decimal | None = None,
    ) -> None:  # fmt: skip
        """A usage has arrived: tokens read, written, cached (of those read), and thought (of those written)."""
        if not (read or written):
            return  # zeros in the middle of an answer are not a count
        counts = (read or 0, written or 0, cached or 0, thought or 0)
        plausible = all(0 <= count <= MAX_TOKENS for count in counts)
        if not plausible:
            self._report("usage", {"counts": counts})
        reads, writes, cached, thought = (min(max(count, 0), MAX_TOKENS) for count in counts)
        self.usage = TokenUsage(
            input_tokens=reads,
            output_tokens=writes,
            cached_tokens=min(cached, reads),
            reasoning_tokens=min(thought, writes),
            implausible=not plausible,
            cost=cost,
        )
        if plausible:  # else the request estimates it
            chunks.append(Chunk(usage=self.usage))

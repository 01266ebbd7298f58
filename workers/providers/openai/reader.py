"""Reads one answer from its bytes: text, reasoning, usage, and how it ended. Pure: no I/O, no vendor package."""

from __future__ import annotations

import re
from typing import Final

from workers.providers.base import Chunk, ProviderError, TokenUsage
from workers.providers.openai.chunk import Choice, Event, Part, Report, Usage, decode_event, garbage
from workers.providers.openai.errors import NOT_SET_UP, error_from_answer
from workers.providers.openai.sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES, EventSplitter
from workers.providers.thinking_tags import ThinkingTags

CUT: Final = "The connection to the model was lost in the middle of the answer."
MAX_TOKENS: Final = 100_000_000  # more in one answer is not plausible; no context window has a tenth of it
FAILED_REASONS: Final = frozenset({"error", "network_error"})
LENGTH_REASONS: Final = frozenset({"length", "max_tokens"})

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATE_AT_END: Final = re.compile("[\ud800-\udbff]$")


def _ignore(_kind: str, _found: object) -> None:
    pass


class AnswerReader:
    """Reads one answer: server-sent events, or one JSON body from a server that does not stream."""

    def __init__(self, *, secrets: tuple[str, ...] = (), report: Report = _ignore) -> None:
        self.done = False  # [DONE] has arrived
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self.failure: ProviderError | None = None  # to be raised after the chunks before it
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.called_tools = False
        self.began = False  # anything but blanks has arrived
        self.settled = False  # a finish reason came once, alone and after the output: only the usage is missing
        self._contradicted = False  # output came after a finish reason, so that reason was not the end
        self._secrets = secrets
        self._report = report
        self._splitter = EventSplitter()
        self._tags = ThinkingTags()
        self._head = b""
        self._marked = False  # the place of a byte order mark has been passed
        self._body: bytearray | None = None
        self._half = ""  # a high surrogate, waiting for its low surrogate
        self._strange = 0  # events that were not understood

    @property
    def ended(self) -> bool:
        """Whether a finish reason has said so, and nothing since has contradicted it."""
        return self.finish_reason is not None and not self._contradicted

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
        if not self.began:
            data = self._begin(data)
            if not data:
                return
        if self._body is None:
            self._read(chunks, self._splitter.feed(data))
            return
        self._body += data
        if len(self._body) > MAX_EVENT_BYTES:
            raise garbage("a body without end")

    def _begin(self, data: bytes) -> bytes:
        """Distinguishes a JSON body from events by the first character, because content types are not reliable.

        Returns the bytes from there on; none while they have not arrived.
        """
        self._head += data
        if not self._marked:
            if len(self._head) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(self._head):
                return b""
            self._head = self._head.removeprefix(BYTE_ORDER_MARK)
            self._marked = True
        start, self._head = self._head.lstrip(), b""
        if not start:
            return b""
        self.began = True
        if start[:1] in (b"{", b"["):
            self._body = bytearray()
        elif start.startswith(b"<"):
            raise ProviderError("upstream_garbage", NOT_SET_UP, detail="a body that begins with <")
        return start

    def _end(self, chunks: list[Chunk]) -> None:
        if self._body is not None:
            self._read(chunks, [bytes(self._body)])
            self.finish_reason = self.finish_reason or ("stop" if self.has_output else None)
        else:
            try:
                self._read(chunks, self._splitter.end())
            except ProviderError as error:
                if error.code != "upstream_garbage":  # that is an incomplete event
                    raise
        if self._half:
            self._half = ""
            self._note(chunks, self._tags.feed("\ufffd"))
        self._note(chunks, self._tags.end())
        if self._tags.unclosed and not self.text and self.finish_reason not in (None, *LENGTH_REASONS):
            # The model forgot the closing tag: what it wrote is the only answer there is.
            self._note(chunks, [Chunk(self._tags.unclosed)])
        if self.finish_reason is None and self._strange and not self.has_output:
            raise garbage("nothing but unknown events")
        if self.finish_reason is None and self.began and (self.has_output or not self.done):
            # Also after [DONE]: proxies send it when they lose their server.
            raise ProviderError("upstream_cut", CUT, retryable=not self.has_output)

    def _read(self, chunks: list[Chunk], events: list[bytes]) -> None:
        for data in events:
            if data.strip() == b"[DONE]":
                self.done = True
                break
            event = decode_event(data, self._note_strange)
            if event is not None:
                self._take(chunks, event)

    def _note_strange(self, kind: str, found: object) -> None:
        if kind != "field":
            self._strange += 1
        self._report(kind, found)

    def _take(self, chunks: list[Chunk], event: Event) -> None:
        if event.choices:
            self._take_choice(chunks, event.choices[0])
        if event.usage is not None:
            self._count(chunks, event.usage)
        if event.error or event.object == "error":
            body = {"error": event.error} if event.error else {"message": event.message, "code": event.code}
            raise error_from_answer(None, body, secrets=self._secrets)

    def _take_choice(self, chunks: list[Chunk], choice: Choice) -> None:
        delta = choice.delta or choice.message
        output = False
        if delta is not None:
            content = delta.content or delta.refusal
            reasoning = delta.thought
            if content or reasoning:
                self._add(chunks, content, reasoning)
                output = True
                self.settled, self._contradicted = False, self._contradicted or self.finish_reason is not None
            if delta.tool_calls or delta.function_call:
                self.called_tools = True
        reason = choice.finish_reason
        if choice.error or reason in FAILED_REASONS:
            raise error_from_answer(None, {"error": choice.error or {"code": reason}}, secrets=self._secrets)
        if reason:
            # Some servers send a finish reason with every chunk: only the first one, after the text, is the end.
            self.settled = self.finish_reason is None and self.has_output and not output
            if reason != self.finish_reason:
                self.finish_reason = reason
                chunks.append(Chunk(finish_reason=reason))

    def _add(self, chunks: list[Chunk], content: str | list[Part] | None, reasoning: str | None) -> None:
        if isinstance(content, list):
            thoughts = "".join(part.text or "" for parts in content for part in parts.thinking or ())
            reasoning = (reasoning or "") + thoughts
            content = "".join(part.text or "" for part in content)
        if reasoning:
            self._note(chunks, [Chunk(reasoning=_mend(reasoning))])
        text = self._clean(content) if content else ""
        if text:
            self._note(chunks, self._tags.feed(text))

    def _note(self, chunks: list[Chunk], found: list[Chunk]) -> None:
        for chunk in found:
            (self.text if chunk.text else self.reasoning).append(chunk.text or chunk.reasoning)
        chunks += found

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

    def _count(self, chunks: list[Chunk], usage: Usage) -> None:
        read, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
        if not (read or written):
            return  # zeros in the middle of an answer are not a count
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
        thought = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
        counts = (read, written, cached or usage.prompt_cache_hit_tokens or 0, thought or 0)
        plausible = all(0 <= count <= MAX_TOKENS for count in counts)
        if not plausible:
            self._report("usage", {"counts": counts})
        read, written, cached, thought = (min(max(count, 0), MAX_TOKENS) for count in counts)
        self.usage = TokenUsage(
            input_tokens=read,
            output_tokens=written,
            cached_tokens=min(cached, read),
            reasoning_tokens=min(thought, written),
            implausible=not plausible,
        )
        if plausible:  # else the request estimates it
            chunks.append(Chunk(usage=self.usage))


def _mend(text: str) -> str:
    """`text` with pairs of surrogates joined, and lone ones and NULs replaced by U+FFFD."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd")

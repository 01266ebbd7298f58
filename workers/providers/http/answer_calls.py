"""The calls of one answer: what was offered, what is asked for, and how the answer then ends. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from accounts.lib.texts import gettext_noop
from workers.providers.base import Chunk, ProviderError, Replay, RequestedCall, ToolSpec
from workers.providers.http.calls import CallCollector
from workers.providers.http.json_values import Report, mend_all
from workers.providers.http.text_calls import TextCalls

TOOL_CALLS: Final = "tool_calls"  # the finish reason of every answer with calls
CALL_REASONS: Final = frozenset({TOOL_CALLS, "function_call", "tool_use", "tool_call"})
LENGTH_REASONS: Final = frozenset(
    {
        "length", "max_tokens", "max_output_tokens", "model_length", "max_length", "token_limit", "error_limit",
        "max_new_tokens", "max_completion_tokens", "context_length",
    }
)  # fmt: skip
MAX_REPLAY: Final = 1_048_576  # bytes; what is larger is not sent back
CUT: Final = gettext_noop("The model's call of a tool was cut off because its answer reached the greatest length.")
FILTERED: Final = frozenset(
    {
        "content_filter",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "model_armor",
        "sensitive",
        "image_safety",
        "error_toxic",
        "guardrail_intervened",
        "content_filtered",
        "moderation",
        "policy_violation",
        "violation",
    }
)
NO_TOOLS: Final[Mapping[str, ToolSpec]] = {}


class AnswerCalls:
    """`tools` are those that the request offered, by their names as they were sent; `kind` and `model` are those of the
    request. `may_call`: the model was not told to leave them. `in_text`: its server may leave calls in the text.
    """

    def __init__(
        self,
        kind: str = "",
        model: str = "",
        tools: Mapping[str, ToolSpec] = NO_TOOLS,
        *,
        may_call: bool = False,
        in_text: bool = False,
    ) -> None:
        self.open = bool(tools) and may_call
        self.called = False  # there was a call, wanted or not
        self.requested: tuple[RequestedCall, ...] = ()  # once the answer is complete
        self.collector = CallCollector({name: tool.name for name, tool in tools.items()})
        self._origin = (kind, model)
        self._text: TextCalls | None = TextCalls(tools) if tools and in_text else None

    def __bool__(self) -> bool:
        """Whether there is a call, complete or not."""
        return len(self.collector) > 0

    def add(self, index: int | None, call_id: str, name: str, arguments: object, **more: Any) -> None:
        """A call, or a piece of one, has arrived (`CallCollector.add`)."""
        self.called = True
        if self.open:
            self.collector.add(index, call_id, name, arguments, **more)

    def filter(self, found: list[Chunk]) -> list[Chunk]:
        """The chunks without calls that are written in their text."""
        if self._text is None:
            return found
        read = [Chunk(self._text.feed(chunk.text)) if chunk.text else chunk for chunk in found]
        return [chunk for chunk in read if chunk.text or chunk.reasoning]

    def end_text(self) -> str:
        """The last text, once no more comes."""
        reader, self._text = self._text, None
        if reader is None:
            return ""
        text = reader.end()
        self.called = self.called or bool(reader.found)
        if not self:  # else the server has read them itself
            for name, arguments in reader.found:
                self.add(None, "", name, arguments, whole=True)
        return text

    def rename(self, reason: str) -> str:
        """A finish reason, where it names calls as every dialect does."""
        return TOOL_CALLS if self.open and reason.lower() in CALL_REASONS else reason

    def take(
        self, reason: str | None, replay_parts: Callable[[Mapping[str, Any]], list[Any]], report: Report
    ) -> Chunk | None:
        """The chunk that ends an answer, if it has calls or if its finish `reason` is another one because it has none.

        Raises `ProviderError` for a call that was cut, and for one without a name.
        """
        if not self.open or (reason or "").lower() in FILTERED:
            return None
        if (reason or "").lower() in LENGTH_REASONS and self.collector.is_cut():
            raise ProviderError("upstream_cut", CUT, detail="a call that the greatest length cut")
        calls, extras = self.collector.take()
        if self.collector.dropped:
            report("calls", {"count": len(calls) + self.collector.dropped})
        self.requested = tuple(calls)
        if not calls:
            return Chunk(finish_reason="stop") if reason == TOOL_CALLS else None
        renamed = None if reason == TOOL_CALLS else TOOL_CALLS
        return Chunk(finish_reason=renamed, calls=self.requested, replay=self._replay(replay_parts(extras), report))

    def _replay(self, parts: list[Any], report: Report) -> Replay | None:
        if not parts:
            return None
        try:
            parts = mend_all(parts)
            size = len(msgspec.json.encode(parts))
        except RecursionError:
            size = MAX_REPLAY + 1
        if size > MAX_REPLAY:
            report("replay", {"bytes": size})
            return None
        return Replay(*self._origin, parts)

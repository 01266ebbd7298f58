"""Reads the answer of a chat completion, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from workers.providers.base import Chunk
from workers.providers.http.json_values import read_cost, read_number, read_object, read_objects, read_text
from workers.providers.http.reader import AnswerReader
from workers.providers.openai.chunk import Choice, Delta, Event, Part, Usage, decode_event, read_usage
from workers.providers.openai.tools import ReplayedReasoning

FAILED_REASONS: Final = frozenset(
    {
        "error", "network_error", "insufficient_system_resource", "abort", "aborted", "server_error", "internal_error",
        "cancelled", "canceled", "failed", "timeout", "unknown_error", "upstream_error",
        "engine_overloaded", "overloaded",
    }
)  # fmt: skip
_ARGUMENTS: Final = ("arguments", "parameters", "input", "args")
_NO_ERROR: Final = ("0", "200", "ok", "success")


class CompletionReader(AnswerReader):
    """Reads one chat completion."""

    reads_text_calls: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._reasoning = ReplayedReasoning()
        self._streamed = False  # text has come in deltas

    def read_event(self, chunks: list[Chunk], data: bytes) -> None:
        event = decode_event(data, self.note_strange)
        if event is not None:
            self._take(chunks, event)

    def _take(self, chunks: list[Chunk], event: Event) -> None:
        if not self.model and event.model:
            self.note_model(event.model)
        choice = _first(event.choices) if event.choices else None
        if choice is not None:
            self._take_choice(chunks, choice)
        if (usage := event.usage or _usage_elsewhere(event, choice)) is not None:
            self._count(chunks, usage)
        if (event.error and says_failure(event.error)) or event.object == "error":
            raise self.fail({"error": event.error} if event.error else {"message": event.message, "code": event.code})
        if event.x_groq and (broken := read_object(event.x_groq).get("error")):  # why the stream ended early
            raise self.fail({"error": broken})

    def _take_choice(self, chunks: list[Chunk], choice: Choice) -> None:
        delta = choice.delta or choice.message or (Delta(content=read_text(choice.text)) if choice.text else None)
        if choice.delta is not None:
            self._streamed = self._streamed or bool(choice.delta.content)
        elif delta is not None and (self._streamed or delta.content == "".join(self.text) != ""):
            # The whole answer once more, at its end; perhaps with blanks around it.
            delta = None if self.calls else Delta(tool_calls=delta.tool_calls, function_call=delta.function_call)
        output = False
        if delta is not None:
            content: str | list[Part] | None = delta.content or delta.refusal
            reasoning = delta.thought
            if content or reasoning:
                if isinstance(content, list):
                    parts = [part.split() for part in content]
                    reasoning += "".join(thought for _, thought in parts)
                    content = "".join(text for text, _ in parts)
                self.add(chunks, content, reasoning)
                output = True
            if self.calls.open and (reasoning or delta.reasoning_details):
                fields = {"reasoning_content": delta.reasoning_content, "reasoning": delta.reasoning}
                self._reasoning.add(fields, delta.reasoning_details)
            if delta.tool_calls or delta.function_call:
                self._take_calls(delta, whole=choice.delta is None)
            for address in _images_of(delta):
                chunks += self.images.take(address)
        if choice.logprobs and (found := read_objects(read_object(choice.logprobs).get("content"))):
            chunks.append(Chunk(logprobs=tuple(found)))
        reason = choice.finish_reason
        if says_failure(choice.error) or (reason and reason.lower() in FAILED_REASONS):
            raise self.fail({"error": choice.error or {"code": reason}})
        if reason:
            self.note_finish(chunks, reason, output=output)

    def _take_calls(self, delta: Delta, *, whole: bool) -> None:
        """`whole`: they are those of an answer that was not streamed."""
        self.calls.called = True
        for entry in read_objects(delta.tool_calls):
            called = read_object(entry.get("function")) or entry
            arguments = next((called[name] for name in _ARGUMENTS if name in called), None)
            self.add_call(
                entry.get("index"), entry.get("id"), called.get("name"), arguments, whole=whole,
                extra=entry.get("extra_content"),
            )  # fmt: skip
        if delta.function_call:
            self.add_call(None, "", delta.function_call.get("name"), delta.function_call.get("arguments"), whole=whole)

    def replay_parts(self, extras: Mapping[str, Any]) -> list[Any]:
        return self._reasoning.parts(extras)

    def _count(self, chunks: list[Chunk], usage: Usage) -> None:
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
        thought = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
        self.count(
            chunks,
            usage.prompt_tokens or usage.input_tokens,
            usage.completion_tokens or usage.output_tokens,
            cached=cached or usage.prompt_cache_hit_tokens,
            thought=thought,
            cost=read_cost(usage.cost),
        )


def _images_of(delta: Delta) -> list[object]:
    """The addresses of the images that the model made: beside the text, or among its parts."""
    parts = [part.image_url for part in delta.content or () if isinstance(part, Part)]
    beside = [one.get("image_url") for one in read_objects(delta.images)] if delta.images else []
    return [read_object(one).get("url") or one for one in (*parts, *beside) if one]


def says_failure(error: object) -> bool:
    """Whether an `error` is one: some servers send it with every event, empty or saying that there was none."""
    if not isinstance(error, dict):
        return bool(error)
    said = [str(error.get(name)).lower() for name in ("code", "message")]
    return any(error.values()) and not all(one in _NO_ERROR for one in said)


def _first(choices: list[Choice]) -> Choice:
    """Of several choices in one event, the first one by its number: only one was asked for."""
    return next((choice for choice in choices if not choice.index), choices[0])


def _usage_elsewhere(event: Event, choice: Choice | None) -> Usage | None:
    """The usage where it is not in its own field."""
    if choice is not None and choice.usage:
        return read_usage(choice.usage)
    if event.x_groq:
        return read_usage(read_object(event.x_groq).get("usage"))
    if not event.timings:
        return None
    timings = read_object(event.timings)
    names = ("prompt_n", "cache_n", "predicted_n")
    read, cached, written = (read_number(timings.get(name)) for name in names)
    if read is None or cached is None or written is None:  # older servers do not say what was cached
        return None
    return Usage(read + cached, written)

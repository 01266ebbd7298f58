"""Whether a stream that has ended is an answer, and what is changed in a request that got none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workers.providers.base import ChatTurn, ProviderError
from workers.providers.openai.errors import REFUSED_BY_FILTER
from workers.providers.openai.reader import AnswerReader

NOTHING: Final = "nothing"  # the reason of an error: not even one event came


def find_fault(reader: AnswerReader) -> ProviderError | None:
    """Why a stream that ended is no answer; None if it has text, or nothing but reasoning."""
    if reader.text:
        return None
    if reader.finish_reason == "content_filter":
        return ProviderError("upstream_refused", REFUSED_BY_FILTER)
    if reader.called_tools or reader.finish_reason in ("tool_calls", "function_call"):
        message = "The model asked for a tool that isn't available here. Try again, or choose another model."
        return ProviderError("upstream_tool_call", message)
    if reader.reasoning:
        return None
    if not reader.began:
        message = "The model's server sent nothing. Please try again, or shorten the conversation."
        return ProviderError("upstream_empty", message, reason=NOTHING)
    return ProviderError("upstream_empty", "The model sent an empty answer. Please try again.")


def fold_system(turns: Sequence[ChatTurn]) -> list[ChatTurn]:
    """`turns` with the system prompt in front of the first user message, for models without a system role."""
    prompt = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    first = next((index for index, turn in enumerate(rest) if turn.role == "user"), None)
    if not prompt:
        return rest
    if first is None:
        return [ChatTurn("user", prompt), *rest]
    rest[first] = ChatTurn("user", f"{prompt}\n\n{rest[first].content}")
    return rest


def shorten(turns: Sequence[ChatTurn]) -> list[ChatTurn]:
    """`turns` without the older half of the conversation. The system prompt and the question stay, and after it an
    answer that is to be continued.
    """
    system = [turn for turn in turns if turn.role == "system"]
    rest = [turn for turn in turns if turn.role != "system"]
    needed = 2 if rest and rest[-1].role == "assistant" else 1
    kept = rest[max(0, min(len(rest) // 2, len(rest) - needed)) :]
    while len(kept) > needed and kept[0].role != "user":
        kept = kept[1:]
    return system + kept

"""Whether a stream that has ended is an answer, and how a request without a system role is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from django.utils.translation import gettext as _

from workers.providers.base import ChatTurn, ProviderError
from workers.providers.http.answer_calls import FILTERED
from workers.providers.http.error_kinds import REFUSED_BY_FILTER
from workers.providers.http.reader import AnswerReader

# The reason of an error: not even one event came. Some servers say so that a prompt is too long.
NOTHING: Final = "nothing"
_TOOLS: Final = frozenset(
    {"tool_calls", "function_call", "tool_use", "malformed_function_call", "unexpected_tool_call"}
)


def find_fault(reader: AnswerReader) -> ProviderError | None:
    """Why a stream that ended is no answer; None if it has text or images, or nothing but reasoning."""
    if reader.text or reader.calls.requested or reader.images.found:
        return None
    reason = (reader.finish_reason or "").lower()
    if reason in FILTERED:
        return ProviderError("upstream_refused", REFUSED_BY_FILTER)
    if reader.calls.open and reason in _TOOLS:
        message = _("The model tried to call a tool, but its call could not be read. Please try again.")
        return ProviderError("upstream_garbage", message, detail=f"{reason} without a call")
    if reader.calls.called or reason in _TOOLS:
        message = _("The model asked for a tool that isn't available here. Try again, or choose another model.")
        return ProviderError("upstream_tool_call", message)
    if reader.reasoning:
        return None
    if not reader.began:
        message = _("The model's server sent nothing. Please try again, or shorten the conversation.")
        return ProviderError("upstream_empty", message, reason=NOTHING)
    return ProviderError("upstream_empty", _("The model sent an empty answer. Please try again."))


def fold_system(turns: Sequence[ChatTurn]) -> list[ChatTurn]:
    """`turns` with the system prompt in front of the first user message, for models without a system role."""
    prompt = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    first = next((index for index, turn in enumerate(rest) if turn.role == "user"), None)
    if not prompt:
        return rest
    if first is None:
        return [ChatTurn("user", prompt), *rest]
    rest[first] = replace(rest[first], content=f"{prompt}\n\n{rest[first].content}")
    return rest

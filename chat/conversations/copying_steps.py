"""Copies the steps of answers and their calls, with the files that they made, into a copy of a conversation."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from accounts.lib.ids import uuid7
from chat.models import Run, Step, ToolCall, ToolFile

# What the model would be sent again (`replay`), costs, and who decided stay with the original.
_OF_STEP: Final = (
    *("number", "attempt", "kind", "status", "endpoint", "text_chars", "reasoning_tokens", "started_at", "ended_at"),
)
_OF_CALL: Final = (
    *("place", "upstream_id", "name", "title", "server", "effect", "arguments", "edited_arguments", "status", "tries"),
    *("attempt", "question", "answers", "output", "output_chars", "sources", "queries"),
    *("created_at", "started_at", "ended_at"),
)


def copy_steps(copies: Mapping[uuid.UUID, Run]) -> None:
    """`copies`: the copied run by the id of its original. Both have ended."""
    steps: dict[int, Step] = {}
    for step in Step.objects.filter(run__in=copies).order_by("pk"):
        steps[step.pk] = Step(run=copies[step.run_id], **{name: getattr(step, name) for name in _OF_STEP})
    Step.objects.bulk_create(steps.values(), batch_size=500)
    calls: dict[uuid.UUID, ToolCall] = {}
    for call in ToolCall.objects.filter(step__in=steps).order_by("pk"):
        calls[call.pk] = ToolCall(
            id=uuid7(), run=copies[call.run_id], step=steps[call.step_id], model_step=steps[call.model_step_id],
            **{name: getattr(call, name) for name in _OF_CALL},
        )  # fmt: skip
    ToolCall.objects.bulk_create(calls.values(), batch_size=200)
    for file in ToolFile.objects.filter(call__in=calls).iterator(chunk_size=10):
        copied = calls[file.call_id]
        ToolFile.objects.create(
            conversation_id=copied.run.conversation_id, call=copied, name=file.name, media_type=file.media_type,
            size=file.size, content=file.content, created_at=file.created_at,
        )  # fmt: skip

"""Which part of an answer the next attempt keeps."""

from __future__ import annotations

from typing import Any, Protocol


class Stepped(Protocol):
    """A run's row, or a run as its worker knows it."""

    @property
    def step_count(self) -> int: ...
    @property
    def begins_with(self) -> int: ...
    @property
    def kept_reasoning(self) -> int: ...


def kept_of(run: Stepped) -> dict[str, Any]:
    """How much of the answer and the thinking is of finished steps, or before them: a new attempt goes on after that.
    Empty for a run without steps.
    """
    return {"kept": {"text": run.begins_with, "reasoning": run.kept_reasoning}} if run.step_count else {}

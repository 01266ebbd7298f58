"""The steps of an answer whose text moderation withholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_FACTS: Final = ("call_id", "name", "title", "server", "effect", "status", "ms")  # of a call, without its contents


def without_contents(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of an answer that is withheld: what was called, and nothing that was sent or returned."""
    return [
        {**step, "calls": [{name: call[name] for name in _FACTS if name in call} for call in step["calls"]]}
        if "calls" in step
        else step
        for step in steps
    ]

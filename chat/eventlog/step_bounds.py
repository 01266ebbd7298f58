"""Bounds what a snapshot says of the calls in its answers: a frame must fit, however much tools have returned. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

MOST_CHARS: Final = 64 * 1024  # of arguments, results and passages together
LEAST_CHARS: Final = 300  # of each, beyond that


def bound_steps(answers: Iterable[list[dict[str, Any]]]) -> None:
    """Cuts texts in the steps of answers, which come with the newest first: those of older calls when there is no more
    room. `output_chars` still says how long a result is.
    """
    left = MOST_CHARS
    for steps in answers:
        for call in [call for step in reversed(steps) for call in reversed(step.get("calls", []))]:
            for name in ("arguments", "output"):
                if name in call:
                    call[name] = _cut(call[name], left)
                    left -= len(call[name])
            for source in call.get("sources", []):
                if source.get("passage"):
                    source["passage"] = _cut(source["passage"], left)
                    left -= len(source["passage"])


def _cut(text: str, left: int) -> str:
    most = max(left, LEAST_CHARS)
    return text if len(text) <= most else text[:most] + "…"

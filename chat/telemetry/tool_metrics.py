"""Counts calls of tools and measures their time. `chat.telemetry.exposition` exports it to Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import Final

from django.conf import settings
from prometheus_client import Histogram

from chat.telemetry.metrics import PREFIX, SECONDS, registry

TOOLS: Final = 200  # tools with a label of their own, in the order of their first call; the rest is "other"
OWN: Final = "own"  # the server's label of our own tools
OTHER: Final = ("other", "other")

tool_calls: Final[Counter[tuple[str, str, str]]] = Counter()  # server, tool, status
call_time: Final = Histogram(
    PREFIX + "tool_call_seconds", "Time that a call of a tool took, by server (worker).", ("server",),
    registry=registry, buckets=(0.01, *SECONDS, 120, 300),
)  # fmt: skip
_known: Final[set[tuple[str, str]]] = set()


def count_tool_call(server: str, tool: str, status: str, seconds: float | None = None) -> None:
    """Counts a call that has ended with `status`. `server` is a slug, empty for our own tools; `tool` is a name that
    the toolbox has, as models may ask for any. `seconds`: how long it ran; None: it never began.
    """
    label = (server or OWN, tool)
    if label not in _known:
        if len(_known) < TOOLS:
            _known.add(label)
        else:
            label = OTHER
    tool_calls[(*label, status)] += 1
    if seconds is not None and settings.METRICS:
        call_time.labels(label[0]).observe(seconds)

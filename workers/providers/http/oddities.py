"""Counts what model servers send beside the protocol, and logs each kind once for each endpoint, with a sample.

A sample shows the shape only: texts are replaced by their length, because they may be somebody's words.
"""

from __future__ import annotations

import json
from typing import Any, Final

import structlog

from chat.telemetry import metrics

SAMPLE_CHARS: Final = 300
DEPTH: Final = 5
ITEMS: Final = 8
ENDPOINTS: Final = 500  # endpoints that are remembered as logged
NAMES: Final = frozenset({"object", "type", "finish_reason"})  # keys whose short texts are names, not words of people
NAME_CHARS: Final = 40

logger = structlog.get_logger(__name__)
_logged: set[tuple[str, str]] = set()


def note_oddity(endpoint: str, kind: str, found: object) -> None:
    """Counts one; logs it if it is the first of its kind from `endpoint` since this process started."""
    metrics.oddities[kind] += 1
    if (endpoint, kind) in _logged or len(_logged) >= ENDPOINTS:
        return
    _logged.add((endpoint, kind))
    logger.warning("model_event_unexpected", endpoint=endpoint, kind=kind, sample=sample_of(found))


def sample_of(found: object) -> str:
    """The shape of a decoded event, or of its bytes, as one short line without anybody's words."""
    if isinstance(found, bytes):
        size = len(found)
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return f"{size} bytes that are not JSON"
    return json.dumps(_shape(found, DEPTH))[:SAMPLE_CHARS]


def _shape(value: Any, depth: int, *, name: bool = False) -> Any:
    if isinstance(value, str):
        return value if name and len(value) <= NAME_CHARS else f"<{len(value)} characters>"
    if isinstance(value, list | dict) and depth == 0:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:ITEMS]
        return {str(key)[:NAME_CHARS]: _shape(one, depth - 1, name=key in NAMES) for key, one in items}
    if isinstance(value, list):
        return [_shape(one, depth - 1) for one in value[:ITEMS]]
    return value

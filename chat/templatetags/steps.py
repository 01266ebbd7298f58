"""Template filters of the steps of an answer. Kept level with js/conversation/step-words.js."""

from __future__ import annotations

import json
from typing import Any, Final

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

register = template.Library()

LONGEST_ABOUT: Final = 80  # characters
RUNNING: Final = ("asked", "allowed", "running")
_TREATED: Final = {
    "asked": "Waits for its turn",
    "waiting": "Waits for a person",
    "allowed": "Allowed",
    "running": "Running…",
    "error": "Failed",
    "denied": "Denied",
    "cancelled": "Cancelled",
    "unknown": "It may have happened",
}


@register.filter
def tool_groups(steps: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The steps that have calls of tools."""
    return [step for step in steps or [] if step.get("calls")]


@register.filter
def group_words(step: dict[str, Any]) -> str:
    """How many tools a step calls: `4 tools`; with failures: `4 tools, 1 failed`."""
    calls = step["calls"]
    words = ngettext("%(count)d tool", "%(count)d tools", len(calls)) % {"count": len(calls)}
    failed = sum(call["status"] == "error" for call in calls)
    return f"{words}, {_('%(count)d failed') % {'count': failed}}" if failed else words


@register.filter
def call_state(status: str) -> str:
    """What became of a call, for a person; empty where it is done, as its time says that."""
    return str(_(_TREATED[status])) if status in _TREATED else ""


@register.filter
def call_about(call: dict[str, Any]) -> str:
    """What a call is about, in a few words: its first text argument."""
    try:
        found = json.loads(call.get("arguments") or "{}")
    except (ValueError, RecursionError):
        return ""
    texts = found.values() if isinstance(found, dict) else ()
    text = next((" ".join(one.split()) for one in texts if isinstance(one, str) and one.strip()), "")
    return text if len(text) <= LONGEST_ABOUT else text[: LONGEST_ABOUT - 1] + "…"


@register.filter
def spell_ms(milliseconds: Any) -> str:
    """A duration: `0.4 s`, `24 s`, `2 min 5 s`; empty where it is not known."""
    if not isinstance(milliseconds, int):
        return ""
    if milliseconds < 9_950:
        return f"{max(0.1, milliseconds / 1000):.1f} s"
    seconds = round(milliseconds / 1000)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"


@register.filter
def file_size(size: int) -> str:
    """Bytes as a person reads them: `820 bytes`, `12 kB`, `3.4 MB`."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{round(size / 1_000)} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"

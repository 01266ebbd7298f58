"""Template filters of the steps of an answer. They must match js/conversation/step-words.js."""

from __future__ import annotations

import json
from typing import Any, Final

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.lib.formatting import file_size, one_digit
from accounts.lib.texts import gettext_noop
from chat.eventlog.own_tools import title_of

register = template.Library()
register.filter(file_size)

LONGEST_ABOUT: Final = 80  # characters
RUNNING: Final = ("asked", "allowed", "running")
_TREATED: Final = {
    "asked": gettext_noop("Waiting for its turn"),
    "waiting": gettext_noop("Waiting for a person"),
    "allowed": gettext_noop("Allowed"),
    "running": gettext_noop("Running…"),
    "error": gettext_noop("Failed"),
    "denied": gettext_noop("Denied"),
    "cancelled": gettext_noop("Cancelled"),
    "unknown": gettext_noop("It may have happened"),
}


@register.filter
def tool_groups(steps: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The steps that have calls of tools."""
    return [step for step in steps or [] if step.get("calls")]


@register.filter
def group_words(step: dict[str, Any]) -> str:
    """How many tools a step calls: `4 tools`; with failures: `4 tools · 1 failed`."""
    calls = step["calls"]
    words = ngettext("%(count)s tool", "%(count)s tools", len(calls)) % {"count": len(calls)}
    failed = sum(call["status"] == "error" for call in calls)
    if not failed:
        return words
    return " · ".join((words, ngettext("%(count)s failed", "%(count)s failed", failed) % {"count": failed}))


@register.filter
def call_title(call: dict[str, Any]) -> str:
    """What a call is named to people. Without a name, as in a shared conversation of before, its title as it is."""
    return title_of(call.get("server", ""), call.get("name", ""), call.get("title", ""))


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
        return _("%(seconds)s s") % {"seconds": one_digit(max(100, milliseconds))}
    return spell_seconds(round(milliseconds / 1000))


def spell_seconds(seconds: int) -> str:
    """Whole seconds: `24 s`, `2 min 5 s`. Must match js/lib/texts.js."""
    if seconds < 60:
        return _("%(seconds)s s") % {"seconds": seconds}
    return _("%(minutes)s min %(seconds)s s") % {"minutes": seconds // 60, "seconds": seconds % 60}

"""Template filters of decisions about tools. They must match js/conversation/approval-words.js."""

from __future__ import annotations

from typing import Any, Final

from django import template
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop

register = template.Library()

_OWN: Final = {  # what the reader decided
    "once": gettext_noop("You allowed “%(title)s” once."),
    "conversation": gettext_noop("You allowed “%(title)s” in this conversation."),
    "always": gettext_noop("You allowed “%(title)s” always."),
    "deny": gettext_noop("You denied “%(title)s”."),
    "silent": gettext_noop("You did not answer “%(title)s”."),
    "answered": gettext_noop("You answered “%(title)s”."),
}
_THEIRS: Final = {
    "once": gettext_noop("%(who)s allowed “%(title)s” once."),
    "conversation": gettext_noop("%(who)s allowed “%(title)s” in this conversation."),
    "always": gettext_noop("%(who)s allowed “%(title)s” always."),
    "deny": gettext_noop("%(who)s denied “%(title)s”."),
    "silent": gettext_noop("%(who)s did not answer “%(title)s”."),
    "answered": gettext_noop("%(who)s answered “%(title)s”."),
}


@register.filter
def has_approvals(steps: list[dict[str, Any]] | None) -> bool:
    """Whether a call of an answer waits, or was decided about."""
    return bool(approval_steps(steps or []))


@register.filter
def approval_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the script needs of the steps: the calls that wait, and the decisions."""
    shown = []
    for step in steps:
        waiting = [call for call in step.get("calls", ()) if call["status"] == "waiting"]
        if waiting or step.get("decisions"):
            shown.append({"status": step["status"], "calls": waiting, "decisions": step.get("decisions", [])})
    return shown


@register.filter
def decision_words(decision: dict[str, Any], reader_id: str) -> str:
    """Who decided what about a call, in a sentence."""
    by, did = decision["by"], decision["decision"]
    values = {"title": decision["title"], "who": by["name"] if by else _("Somebody")}
    if decision.get("expired"):
        return _("Nobody decided about “%(title)s” in time.") % values
    if decision.get("answered"):
        did = "silent" if did == "deny" else "answered"
    said = _((_OWN if by and by["id"] == str(reader_id) else _THEIRS)[did]) % values
    if reason := decision.get("reason"):
        return " ".join((said, _("Reason: “%(reason)s”") % {"reason": reason}))
    return " ".join((said, _("The arguments were changed."))) if decision.get("edited") else said

"""Template filters of decisions about tools. Kept level with js/conversation/approval-words.js."""

from __future__ import annotations

from typing import Any, Final

from django import template
from django.utils.translation import gettext as _

register = template.Library()

_ANSWERED: Final = "%(who)s answered “%(title)s”"
_DECLINED: Final = "%(who)s did not answer “%(title)s”"
_ALLOWED: Final = {
    "once": "%(who)s allowed “%(title)s” once",
    "conversation": "%(who)s allowed “%(title)s” in this conversation",
    "always": "%(who)s allowed “%(title)s” always",
    "deny": "%(who)s denied “%(title)s”",
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
    values = {"title": decision["title"], "who": _("Somebody")}
    if decision.get("expired"):
        return _("Nobody decided about “%(title)s” in time.") % values
    if by := decision["by"]:
        values["who"] = _("You") if by["id"] == str(reader_id) else by["name"]
    if decision.get("answered"):
        words = (
            "%(who)s did not answer “%(title)s”" if decision["decision"] == "deny" else "%(who)s answered “%(title)s”"
        )
    else:
        words = _ALLOWED[decision["decision"]]
    said = str(_(words)) % values
    if reason := decision.get("reason"):
        return _("%(said)s: “%(reason)s”") % {"said": said, "reason": reason}
    return _("%(said)s, with changed arguments.") % {"said": said} if decision.get("edited") else f"{said}."

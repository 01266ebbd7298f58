"""Template tags of the pages of share links."""

from __future__ import annotations

from typing import Any, Final

from django import template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from chat.markdown.plain import plain
from chat.templatetags.chat_page import ACTIVE
from chat.templatetags.sources import cite, sources_of

register = template.Library()

WITHHELD: Final = ("hold", "block", "withdrawn")


@register.filter
def shared_answer(message: dict[str, Any]) -> SafeString:
    """An answer's HTML; of one that has none yet, its text as it was written."""
    html = message["html"] or plain(message["text"])
    return mark_safe(cite(html, sources_of(message), message["id"]))  # noqa: S308  # sanitised, or escaped


@register.filter
def shared_note(message: dict[str, Any]) -> str:
    """Why a message is not whole, for a reader; empty where it is. Must match `noteOf` in shared/messages.js."""
    action = (message.get("moderation") or {}).get("action")
    if message.get("deleted_at"):
        return str(_("This message was deleted."))
    if action in WITHHELD:
        return str(_("This message is not shown."))
    if message["status"] in ACTIVE:
        if (message.get("run") or {}).get("status") == "waiting":
            return str(_("This answer is waiting for a decision."))
        return str(_("This answer is still being written."))
    if message["status"] in ("stopped", "interrupted"):
        return str(_("This answer was stopped before its end."))
    if message["status"] == "failed":
        return str(_("There is no answer: something went wrong."))
    return str(_("Parts of this message are not shown.")) if action == "mask" else ""


@register.filter
def shows_calls(steps: list[dict[str, Any]] | None) -> bool:
    """Whether readers see the calls of an answer's steps, and not only its sources."""
    return any("title" in call for step in steps or () for call in step["calls"])

"""Template filters for sentences that are stored in English: they are shown in the reader's language."""

from __future__ import annotations

from django import template

from accounts.lib.texts import retold
from chat.jobs.tool_servers import LOG_IN_ENDINGS
from chat.portability import refusals
from chat.review.sanctions import policy_note

register = template.Library()

register.filter("of_import", refusals.retold)
register.filter("stored_text", retold)
register.filter("policy_note", policy_note)


@register.filter
def log_in_ending(stored: str) -> str:
    """Why a log-in at a tool server has ended."""
    return retold(stored, LOG_IN_ENDINGS)

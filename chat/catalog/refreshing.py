"""Reads again what staff decide and processes cache: what they say of models, and the rules of moderation."""

from __future__ import annotations

from accounts.lib.db import in_db
from chat.catalog import access
from chat.moderation import rules


async def refresh_rules() -> None:
    """Web processes and workers call this every `REFRESH_SECONDS`, so that no message waits for these queries.

    Raises a database error; what was read before then stays in force.
    """
    await in_db(read_rules_again)


def read_rules_again() -> None:
    """`refresh_rules` in a thread that may block."""
    access.refresh_rules()
    rules.refresh_rules()

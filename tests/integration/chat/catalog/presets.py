"""Presets of users, for the tests."""

from __future__ import annotations

from accounts.models import User
from chat.catalog.presets import offered_presets

FORM = {
    "name": "Pirate", "description": "Arr.", "model": "two", "system_prompt": "Talk like a pirate.", "enabled": "on",
    "starters": "Where is the gold?\n\nSing a shanty\n", "temperature": "0.3", "max_tokens": "50", "effort": "low",
}  # fmt: skip


def offered(user: User) -> list[str]:
    return [one["name"] for one in offered_presets(user.pk)]

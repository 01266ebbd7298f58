"""The prompts of tool servers: which a user may use, and what they fill in."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from accounts.lib.formatting import grouped
from accounts.models import User
from chat.catalog.tool_servers import servers_of
from chat.protocol.errors import Invalid, NotFound

MAX_VALUE_CHARS: Final = 20_000  # of one argument


def server_prompts(user: User) -> list[dict[str, Any]]:
    """The prompts of the servers that this user may use, as these listed them last. No texts.

    Each has `server_id`, `server` (its name), `name`, `title`, `description` and `arguments`, a list of `name`,
    `description` and `required`.
    """
    rows = servers_of(user).exclude(prompts=[]).only("id", "title", "prompts").order_by("title", "pk")
    return [
        {"server_id": str(row.pk), "server": row.title, **one, "arguments": _arguments(one)}
        for row in rows
        for one in row.prompts
    ]


def check_prompt(user: User, server_id: uuid.UUID, name: str, arguments: str) -> dict[str, str]:
    """The arguments, a JSON object of texts, for a prompt that this user may use. Those that it does not have are left
    out, as are empty ones. Raises `NotFound` and `Invalid` with a sentence.
    """
    row = servers_of(user).filter(pk=server_id).first()
    found = next((one for one in row.prompts if one.get("name") == name), None) if row is not None else None
    if found is None:
        raise NotFound
    try:
        given = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise Invalid(_("The arguments must be a JSON object of texts."))
    filled = {}
    for one in _arguments(found):
        value = given.get(one["name"], "")
        if len(value) > MAX_VALUE_CHARS:
            raise Invalid(
                _("“%(name)s” is too long: at most %(max_value_chars)s characters.")
                % {"name": one["name"], "max_value_chars": grouped(MAX_VALUE_CHARS)}
            )
        if value.strip():
            filled[one["name"]] = value
        elif one["required"]:
            raise Invalid(_("Fill in “%(name)s”.") % {"name": one["name"]})
    return filled


def _arguments(prompt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lists that were stored by an earlier version have names only."""
    found = [{"name": one} if isinstance(one, str) else one for one in prompt.get("arguments", [])]
    return [{"description": "", "required": False, **one} for one in found]

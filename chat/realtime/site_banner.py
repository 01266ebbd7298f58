"""The announcement above the pages (`accounts.site`), as sockets are told of it: in `hello`, and when it changes."""

from __future__ import annotations

import uuid
from typing import Any, Final

from accounts.site import site
from chat.catalog import presets

EVERY_SECONDS: Final = 1.0  # how often a process looks for another one


def current_banner() -> dict[str, str] | None:
    """What pages show now: `id`, `kind` (`news` or `warning`) and `text`; None: nothing. Not for an event loop."""
    found = site()
    return {"id": found.banner_id, "kind": found.banner_kind, "text": found.banner} if found.banner else None


def read_offers(user_id: uuid.UUID) -> dict[str, Any]:
    """What `hello` says beside the constants: models, presets, and the announcement, if there is one."""
    banner = current_banner()
    return {**presets.offers(user_id), **({"banner": banner} if banner else {})}

"""The announcement above the pages (`accounts.site`), as sockets are told of it: in `hello`, and when it changes."""

from __future__ import annotations

import uuid
from typing import Any, Final

from accounts.features import speech_is_on, voice_is_on
from accounts.site import site
from chat.catalog import presets

EVERY_SECONDS: Final = 1.0  # how often a process looks for another one


_maintenance = False


def current_banner() -> dict[str, Any] | None:
    """What pages show now: `id`, `kind` (`news` or `warning`), `text`, and `maintenance` where that is why; None:
    nothing. Not for an event loop.

    `usual`: the text is the site's own sentence, which pages show in their language.
    """
    global _maintenance
    found = site()
    _maintenance = found.maintenance
    if not found.announcement:
        return None
    banner: dict[str, Any] = {"id": found.banner_id, "kind": found.banner_kind, "text": found.announcement}
    if found.maintenance:
        banner |= {"maintenance": True, "usual": not found.maintenance_text}
    return banner


def is_maintenance() -> bool:
    """Whether the site is in maintenance, as this process knew `EVERY_SECONDS` ago. For an event loop."""
    return _maintenance


def read_offers(user_id: uuid.UUID, *, has_presets: bool | None = None) -> dict[str, Any]:
    """What `hello` says beside the constants: models, presets, and the announcement, if there is one. `spoken`: those
    of its features that are about speech. `has_presets`: whether the user may have some, if that is known.
    """
    banner = current_banner()
    spoken = [name for name, on in (("voice", voice_is_on()), ("speech", speech_is_on())) if on]
    offers = presets.offers(user_id, has_any=has_presets)
    return {**offers, "spoken": spoken, **({"banner": banner} if banner else {})}

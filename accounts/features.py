"""What staff have switched off for the whole site, in its settings. It holds in every process within a second.

Switches take away what the environment and a plan allow, and give nothing: with `SIGN_UP=invitation` no switch opens
the sign-up. Tools have a switch of their own, which also has a reason (`chat.runs.tool_switch`). A plan takes features
away from its people by limits of 0: no files, no tools, no API tokens.
"""

from __future__ import annotations

from django.conf import settings

from accounts.lib.texts import gettext_noop
from accounts.models.site import Feature
from accounts.site import site

TEMPORARY_OFF = gettext_noop("Temporary chats are switched off on this site. Start a normal conversation.")
WEB_SEARCH_OFF = gettext_noop("Searching the web is switched off on this site.")


def is_on(feature: Feature) -> bool:
    """Whether staff have not switched it off. It may ask Redis, so call it from a thread where loops run."""
    return feature.value not in site().off


def sign_up_rule() -> str:
    """`SIGN_UP`; while the sign-up is switched off, only invited people may have an account."""
    return str(settings.SIGN_UP) if is_on(Feature.SIGN_UP) else "invitation"


def share_rule() -> str:
    """`SHARE_LINKS`; `off` while sharing is switched off: links that exist work again afterwards."""
    return str(settings.SHARE_LINKS) if is_on(Feature.SHARING) else "off"


def api_is_on() -> bool:
    """Whether programs may use the API."""
    return bool(settings.API_ENABLED) and is_on(Feature.API)


def voice_is_on() -> bool:
    """Whether speech is recognised, for recordings and calls."""
    return bool(settings.ASR_BACKENDS) and is_on(Feature.VOICE)


def speech_is_on() -> bool:
    """Whether the server reads aloud."""
    return bool(settings.SPEECH_BACKENDS) and is_on(Feature.SPEECH)

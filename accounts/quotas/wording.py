"""Names of quotas and their units, as people read them."""

from __future__ import annotations

from typing import Final

from django.conf import settings

from accounts.models import Unit

UNITS: Final = {
    Unit.MESSAGES.value: "messages",
    Unit.INPUT_TOKENS.value: "input tokens",
    Unit.OUTPUT_TOKENS.value: "output tokens",
    Unit.MONEY.value: settings.CURRENCY,
    Unit.AUDIO_SECONDS.value: "seconds of speech",
}

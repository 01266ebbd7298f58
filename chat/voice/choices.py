"""What users choose for voice on all their devices. What depends on the device (the microphone, the browser's voice,
reading aloud) is kept in the browser instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts.models import User
from chat.voice.languages import offered

SPEEDS: Final = ("0.8", "", "1.25", "1.5")


def check_choice(name: str, value: str) -> bool:
    """Whether a choice has such a value. An empty one is what is usual."""
    if name == "language":
        return value == "" or value in offered()
    if name == "server":
        return value == "" or (bool(settings.SPEECH_BACKENDS) and value in settings.SPEECH_VOICES)
    if name == "speed":
        return value in SPEEDS
    return name == "send" and value in ("", "on")


def save_choices(user: User, chosen: Mapping[str, str]) -> bool:
    """Keeps the choices; whether all of them are valid, else none is kept."""
    if not chosen or not all(check_choice(name, value) for name, value in chosen.items()):
        return False
    with transaction.atomic():  # two fields may be changed at the same moment
        row = User.objects.select_for_update().only("voice").get(pk=user.pk)
        User.objects.filter(pk=user.pk).update(voice={**row.voice, **chosen})
    return True


def choices_of(user: User) -> dict[str, str]:
    """Those that are still valid: voices and recognisers may be others now."""
    return {name: value for name, value in user.voice.items() if check_choice(name, value)}

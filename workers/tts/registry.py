"""The backends that SPEECH_BACKENDS names, in its order. A backend's own packages are imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from workers.tts.backends.kokoro import KokoroBackend, Synthesizer
from workers.tts.backends.openai_http import OpenAISpeechBackend
from workers.tts.base import TtsBackend

OPENAI: Final = "https://api.openai.com/"


def _openai() -> TtsBackend:
    key = settings.SPEECH_API_KEY
    if not key and settings.SPEECH_URL.startswith(OPENAI):
        key = settings.OPENAI_API_KEY  # it goes to OpenAI only, not to whoever serves SPEECH_URL
        if not key:
            raise ImproperlyConfigured("SPEECH_API_KEY or OPENAI_API_KEY: it is needed by SPEECH_BACKENDS=openai")
    return OpenAISpeechBackend(key, url=settings.SPEECH_URL, model=settings.SPEECH_MODEL)


def _kokoro() -> TtsBackend:
    if find_spec("kokoro_onnx") is None:
        raise ImproperlyConfigured(
            "SPEECH_BACKENDS: the optional package kokoro-onnx is not installed. Install it with `pip install -r "
            "requirements/kokoro.txt` (docs/voice.md), or name another backend"
        )
    files = {name: Path(getattr(settings, name)) for name in ("KOKORO_MODEL", "KOKORO_VOICES")}
    for name, path in files.items():
        if not path.is_file():
            raise ImproperlyConfigured(
                f"{name}: there is no such file; SPEECH_BACKENDS=kokoro needs it (docs/voice.md)"
            )

    def load() -> Synthesizer:
        from kokoro_onnx import Kokoro  # takes seconds, and only this backend needs it

        made: Synthesizer = Kokoro(*map(str, files.values()))
        return made

    return KokoroBackend(load)


BACKENDS: Final[dict[str, Callable[[], TtsBackend]]] = {"openai": _openai, "kokoro": _kokoro}


def open_backends() -> list[TtsBackend]:
    """The backends of SPEECH_BACKENDS: none where browsers read with their own voices.

    Raises `ImproperlyConfigured` for an unknown name, a missing key or no voices. Nothing is loaded or connected yet,
    so it is also the way to check the settings.
    """
    unknown = [name for name in settings.SPEECH_BACKENDS if name not in BACKENDS]
    if unknown:
        raise ImproperlyConfigured(
            f"SPEECH_BACKENDS: unknown backend: {', '.join(unknown)} (known: {', '.join(BACKENDS)})"
        )
    if settings.SPEECH_BACKENDS and not settings.SPEECH_VOICES:
        raise ImproperlyConfigured("SPEECH_VOICES: at least one voice is needed by SPEECH_BACKENDS")
    return [BACKENDS[name]() for name in settings.SPEECH_BACKENDS]

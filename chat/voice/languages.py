"""Which languages the configured recognisers understand, as far as the settings say: web processes open none of them.

A test compares this with what the recognisers say of themselves.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.utils.translation import get_language_info
from django.utils.translation import gettext as _

# Offered where recognisers understand any: the commonest of what all of them know.
COMMON: Final = (
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nb", "nl", "pl",
    "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
_ENGLISH_BACKENDS: Final = frozenset({"moonshine", "pocketsphinx"})
_ENGLISH_MODELS: Final = {"deepgram": "DEEPGRAM_MODEL", "assemblyai": "ASSEMBLYAI_MODEL"}
ENGLISH_MODELS: Final = frozenset({"flux-general-en", "universal-streaming-english"})


def recognised() -> tuple[str, ...]:
    """Primary subtags, such as `de`; empty where any language may be tried, and where there is no recogniser."""
    if settings.ASR_BACKENDS and all(_knows_english_only(name) for name in settings.ASR_BACKENDS):
        return ("en",)
    return ()


def _knows_english_only(backend: str) -> bool:
    model = _ENGLISH_MODELS.get(backend)
    return backend in _ENGLISH_BACKENDS or (model is not None and getattr(settings, model) in ENGLISH_MODELS)


def offered() -> tuple[str, ...]:
    """What people can choose to speak."""
    return recognised() or COMMON


def language_name(code: str) -> str:
    """In the language of the page, such as `German`; the code itself where that is unknown."""
    primary = code.partition("-")[0]
    try:
        name = str(get_language_info("zh-hans" if primary == "zh" else primary)["name_translated"])
    except KeyError:
        return code
    return _("Chinese") if primary == "zh" else name

"""The backends that the settings name, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from workers.asr.base import AsrBackend
from workers.asr.chain import Chain
from workers.asr.sphinx import SphinxBackend


def _pocketsphinx() -> AsrBackend:
    return SphinxBackend(speakers=settings.ASR_SPEAKERS, grammar=settings.POCKETSPHINX_GRAMMAR)


BACKENDS: Final[dict[str, Callable[[], AsrBackend]]] = {"pocketsphinx": _pocketsphinx}


def open_chain() -> Chain:
    """The chain of `ASR_BACKENDS`. Raises `ImproperlyConfigured` for a name nobody knows."""
    unknown = [name for name in settings.ASR_BACKENDS if name not in BACKENDS]
    if unknown:
        raise ImproperlyConfigured(
            f"ASR_BACKENDS: no such backend: {', '.join(unknown)} (known: {', '.join(BACKENDS)})"
        )
    return Chain([BACKENDS[name]() for name in settings.ASR_BACKENDS])

"""The backends that ASR_BACKENDS names, in its order. A backend's own packages are imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from workers.asr.backends.assemblyai import AssemblyAIBackend
from workers.asr.backends.deepgram import DeepgramBackend
from workers.asr.backends.moonshine import MoonshineBackend
from workers.asr.backends.openai_http import HttpBackend
from workers.asr.backends.openai_realtime import RealtimeBackend
from workers.asr.backends.speechmatics import SpeechmaticsBackend
from workers.asr.backends.sphinx import SphinxBackend
from workers.asr.backends.whisper import FasterWhisper, WhisperBackend
from workers.asr.base import AsrBackend
from workers.asr.chain import Chain

OPENAI: Final = "https://api.openai.com/"
_VADS: Final[dict[str, Literal["client", "server"]]] = {"client": "client", "server": "server"}


def _moonshine() -> AsrBackend:
    if find_spec("moonshine_voice") is None:
        raise ImproperlyConfigured(
            "ASR_BACKENDS: the package moonshine-voice is not installed. Install it with `make moonshine` (or "
            "`pip install -r requirements/moonshine.txt`), or name another recogniser (docs/voice.md)"
        )
    return MoonshineBackend(speakers=settings.ASR_SPEAKERS)


def _pocketsphinx() -> AsrBackend:
    if find_spec("pocketsphinx") is None:
        raise ImproperlyConfigured(
            "ASR_BACKENDS: the optional package pocketsphinx is not installed. Install it with `make pocketsphinx` "
            "(or `pip install -r requirements/pocketsphinx.txt`), or name another recogniser (docs/voice.md)"
        )
    return SphinxBackend(speakers=settings.ASR_SPEAKERS, grammar=settings.POCKETSPHINX_GRAMMAR)


def _deepgram() -> AsrBackend:
    return DeepgramBackend(_needed("DEEPGRAM_API_KEY"), settings.DEEPGRAM_URL, settings.DEEPGRAM_MODEL)


def _assemblyai() -> AsrBackend:
    return AssemblyAIBackend(_needed("ASSEMBLYAI_API_KEY"), settings.ASSEMBLYAI_URL, settings.ASSEMBLYAI_MODEL)


def _speechmatics() -> AsrBackend:
    return SpeechmaticsBackend(_needed("SPEECHMATICS_API_KEY"), settings.SPEECHMATICS_URL, settings.SPEECHMATICS_MODEL)


def _openai_realtime() -> AsrBackend:
    return RealtimeBackend(
        settings.OPENAI_REALTIME_API_KEY or _needed("OPENAI_API_KEY"),
        settings.OPENAI_REALTIME_URL,
        settings.OPENAI_REALTIME_MODEL,
        "beta" if settings.OPENAI_REALTIME_FORM == "beta" else "ga",
        settings.OPENAI_REALTIME_MODEL_IN_URL,
        _VADS.get(settings.OPENAI_REALTIME_VAD, "auto"),
    )


def _openai_http() -> AsrBackend:
    key = settings.TRANSCRIPTION_API_KEY
    if not key and settings.TRANSCRIPTION_URL.startswith(OPENAI):
        key = _needed("OPENAI_API_KEY")  # it goes to OpenAI only, not to whoever serves TRANSCRIPTION_URL
    return HttpBackend(
        key,
        url=settings.TRANSCRIPTION_URL,
        model=settings.TRANSCRIPTION_MODEL,
        partials=settings.TRANSCRIPTION_PARTIALS,
    )


def _whisper() -> AsrBackend:
    folder = _needed("WHISPER_MODEL_DIR")

    def load() -> FasterWhisper:
        return FasterWhisper(folder, device=settings.WHISPER_DEVICE, compute_type=settings.WHISPER_COMPUTE_TYPE)

    return WhisperBackend(load, speakers=settings.ASR_SPEAKERS or 2)


BACKENDS: Final[dict[str, Callable[[], AsrBackend]]] = {
    "moonshine": _moonshine,
    "pocketsphinx": _pocketsphinx,
    "deepgram": _deepgram,
    "assemblyai": _assemblyai,
    "speechmatics": _speechmatics,
    "openai_realtime": _openai_realtime,
    "openai_http": _openai_http,
    "whisper": _whisper,
}


def _needed(name: str) -> str:
    value = str(getattr(settings, name))
    if not value:
        raise ImproperlyConfigured(f"{name}: it is needed by a backend that ASR_BACKENDS names")
    return value


def open_chain() -> Chain:
    """The chain of `ASR_BACKENDS`, which is empty where voice input is off.

    Raises `ImproperlyConfigured` for an unknown name, a missing key or a missing package. Nothing is loaded or
    connected yet, so it is also the way to check the settings.
    """
    unknown = [name for name in settings.ASR_BACKENDS if name not in BACKENDS]
    if unknown:
        raise ImproperlyConfigured(
            f"ASR_BACKENDS: unknown backend: {', '.join(unknown)} (known: {', '.join(BACKENDS)})"
        )
    return Chain([BACKENDS[name]() for name in settings.ASR_BACKENDS])

"""Voice: the recognisers, the limits of recordings, and speech from the server. See docs/voice.md."""

from __future__ import annotations

import os
from importlib.util import find_spec

from environs import validate

from config.env import at_least, count_or_off
from config.settings.environment import env

# Recognisers in order of preference: moonshine, deepgram, assemblyai, speechmatics, openai_realtime, openai_http,
# whisper, pocketsphinx. Empty turns voice input off. Moonshine is the default where it is installed: docs/voice.md.
_ASR_INSTALLED = ["moonshine"] if find_spec("moonshine_voice") else []
ASR_BACKENDS: list[str] = [name for name in env.list("ASR_BACKENDS", _ASR_INSTALLED, subcast=str) if name]
ASR_LANGUAGE: str = env.str("ASR_LANGUAGE", "en")
ASR_KEYWORDS: list[str] = [word for word in env.list("ASR_KEYWORDS", [], subcast=str) if word]  # names, rare words
ASR_SILENCE_MS = env.int("ASR_SILENCE_MS", 500, validate=at_least(200))  # silence that ends an utterance
ASR_SPEAKERS = env.int("ASR_SPEAKERS", 0, validate=at_least(0))  # per worker; 0: see docs/voice.md
POCKETSPHINX_GRAMMAR: str = env.str("POCKETSPHINX_GRAMMAR", "")  # a JSGF file: only its sentences are recognised
DEEPGRAM_API_KEY: str = env.str("DEEPGRAM_API_KEY", "")
DEEPGRAM_URL: str = env.str("DEEPGRAM_URL", "wss://api.deepgram.com")
DEEPGRAM_MODEL: str = env.str("DEEPGRAM_MODEL", "nova-3")
ASSEMBLYAI_API_KEY: str = env.str("ASSEMBLYAI_API_KEY", "")
ASSEMBLYAI_URL: str = env.str("ASSEMBLYAI_URL", "wss://streaming.assemblyai.com")
ASSEMBLYAI_MODEL: str = env.str("ASSEMBLYAI_MODEL", "universal-3-5-pro")
SPEECHMATICS_API_KEY: str = env.str("SPEECHMATICS_API_KEY", "")
SPEECHMATICS_URL: str = env.str("SPEECHMATICS_URL", "wss://eu.rt.speechmatics.com")
SPEECHMATICS_MODEL: str = env.str("SPEECHMATICS_MODEL", "enhanced", validate=validate.OneOf(["enhanced", "standard"]))
# The two OpenAI backends use OPENAI_API_KEY if they have no key of their own.
OPENAI_REALTIME_API_KEY: str = env.str("OPENAI_REALTIME_API_KEY", "")
OPENAI_REALTIME_URL: str = env.str("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime")
OPENAI_REALTIME_MODEL: str = env.str("OPENAI_REALTIME_MODEL", "gpt-live-transcribe")
OPENAI_REALTIME_FORM: str = env.str("OPENAI_REALTIME_FORM", "ga", validate=validate.OneOf(["ga", "beta"]))
OPENAI_REALTIME_VAD: str = env.str("OPENAI_REALTIME_VAD", "auto", validate=validate.OneOf(["auto", "client", "server"]))
OPENAI_REALTIME_MODEL_IN_URL = env.bool("OPENAI_REALTIME_MODEL_IN_URL", False)
TRANSCRIPTION_API_KEY: str = env.str("TRANSCRIPTION_API_KEY", "")
TRANSCRIPTION_URL: str = env.str("TRANSCRIPTION_URL", "https://api.openai.com/v1")
TRANSCRIPTION_MODEL: str = env.str("TRANSCRIPTION_MODEL", "gpt-transcribe")
TRANSCRIPTION_PARTIALS = env.bool("TRANSCRIPTION_PARTIALS", True)  # send the growing utterance every second
WHISPER_MODEL_DIR: str = env.str("WHISPER_MODEL_DIR", "")
WHISPER_DEVICE: str = env.str("WHISPER_DEVICE", "auto")
WHISPER_COMPUTE_TYPE: str = env.str("WHISPER_COMPUTE_TYPE", "default")
RECORDINGS_PER_USER = count_or_off(env, "RECORDINGS_PER_USER", 1)  # at once
RECORDINGS_AT_ONCE = env.int("RECORDINGS_AT_ONCE", 2 * (os.cpu_count() or 1), validate=at_least(1))  # on the server
RECORDINGS_PER_ADDRESS = count_or_off(env, "RECORDINGS_PER_ADDRESS", max(1, RECORDINGS_AT_ONCE // 2))  # at once
RECORDING_SECONDS = env.int("RECORDING_SECONDS", 600, validate=at_least(1))  # maximum length of one recording

# Speech from the server: openai (any server with /v1/audio/speech), kokoro. Empty: browsers read with their own voices.
SPEECH_BACKENDS: list[str] = [name for name in env.list("SPEECH_BACKENDS", [], subcast=str) if name]
SPEECH_URL: str = env.str("SPEECH_URL", "https://api.openai.com/v1")
SPEECH_API_KEY: str = env.str("SPEECH_API_KEY", "")
SPEECH_MODEL: str = env.str("SPEECH_MODEL", "gpt-4o-mini-tts")
SPEECH_VOICES: list[str] = [
    name
    for name in env.list("SPEECH_VOICES", ["alloy", "coral", "echo", "nova", "sage", "shimmer"], subcast=str)
    if name
]  # that people can choose; the first is the default
KOKORO_MODEL: str = env.str("KOKORO_MODEL", "")
KOKORO_VOICES: str = env.str("KOKORO_VOICES", "")
SPEECH_AT_ONCE = env.int("SPEECH_AT_ONCE", 8, validate=at_least(1))  # sentences, in one worker
SPEECH_CACHE_MB = env.int("SPEECH_CACHE_MB", 32, validate=at_least(0))  # of spoken sentences in one worker; 0: none
SPEECH_CACHE_SECONDS = env.int("SPEECH_CACHE_SECONDS", 3600, validate=at_least(1))  # how long one is used again

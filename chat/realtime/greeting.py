"""The first frame of a connection: what this server can do, and what its user may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from chat.protocol.limits import (
    FEATURES,
    HEARTBEAT_SECONDS,
    MAX_AUDIO_BYTES,
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL,
    WINDOW_BYTES,
)


def hello(connection_id: str, offers: dict[str, Any]) -> dict[str, Any]:
    """The frame `hello`. `offers`: the models and presets of the user (`chat.catalog.presets`)."""
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "connection_id": connection_id,
        "heartbeat_s": HEARTBEAT_SECONDS,
        "limits": {
            "text_bytes": MAX_TEXT_BYTES,
            "frame_bytes": MAX_FRAME_BYTES,
            "audio_bytes": MAX_AUDIO_BYTES,
            "window_bytes": WINDOW_BYTES,
        },
        **offers,
        "traceparent": True,
        "features": [
            *FEATURES,
            *(["voice"] if settings.ASR_BACKENDS else []),
            *(["speech"] if settings.SPEECH_BACKENDS else []),
        ],
    }

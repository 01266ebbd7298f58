"""Sizes and times of the wire protocol."""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = "chat.v1"
MAX_FRAME_BYTES: Final = 64 * 1024
MAX_TEXT_BYTES: Final = 48 * 1024  # of one message's text in UTF-8, so that its frame fits
MAX_AUDIO_BYTES: Final = 8_000
WINDOW_BYTES: Final = 256 * 1024
HEARTBEAT_SECONDS: Final = 25
PONG_SECONDS: Final = 10
